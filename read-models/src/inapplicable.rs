//! Why an event cannot be folded.

use domain::money::MoneyError;

/// The event does not fit what the projection knows: a bug, or a log that something else wrote to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Inapplicable {
    #[error("the stream's key is not one that this projection can store")]
    MalformedKey,
    #[error("the event belongs to another type of stream")]
    WrongStream,
    #[error("revision {found} follows on revision {row}")]
    RevisionGap { row: i64, found: i64 },
    #[error("the stream begins twice")]
    ExistsAlready,
    #[error("nothing is known of the stream that the event continues")]
    UnknownStream,
    #[error("an amount cannot be added: {0}")]
    Money(#[from] MoneyError),
    #[error("a quantity does not fit 64 bits")]
    QuantityOverflow,
}
