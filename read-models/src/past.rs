//! One thing as it was: the events of its stream up to a moment, folded by the very fold that makes its row,
//! and shown as clients see that row.

use chrono::{DateTime, Utc};
use domain::{Event, StreamType, id::StreamId};

use crate::{
    inapplicable::Inapplicable,
    row::{self, Key, Row, Slot},
    sum::Sums,
};

/// A row that can be shown without the view that readers have of it.
pub trait Showing: Row {
    /// The JSON object that a read of the thing answers with.
    ///
    /// # Errors
    /// If a document has no form as JSON.
    fn show(&self, revision: i64) -> Result<String, serde_json::Error>;
}

/// How the things of one type of streams become what is read of them.
#[derive(Clone, Copy, Debug)]
pub struct History {
    pub stream: StreamType,
    begin: fn(&str) -> Option<Box<dyn Past>>,
}

/// A thing on its way through its past.
pub trait Past: Send {
    /// # Errors
    /// If the event does not follow from those before it.
    fn evolve(
        &mut self,
        event: &Event,
        revision: i64,
        recorded_at: DateTime<Utc>,
    ) -> Result<(), Inapplicable>;

    /// As it is shown, with its revision; none before its first event and once it is gone.
    ///
    /// # Errors
    /// If a document has no form as JSON.
    fn shown(&self) -> Result<Option<(i64, String)>, serde_json::Error>;
}

impl History {
    #[must_use]
    pub const fn of<R: Showing>(stream: StreamType) -> Self {
        let begin = |key: &str| {
            let held = R::Key::parse(key).map(row::hold::<R>);
            held.map(|held| -> Box<dyn Past> { Box::new(held) })
        };
        Self { stream, begin }
    }

    /// The thing before its first event; none if it can be none of these.
    #[must_use]
    pub fn begin(&self, stream: &StreamId) -> Option<Box<dyn Past>> {
        if stream.stream_type() != Some(self.stream) {
            return None;
        }
        (self.begin)(stream.key())
    }
}

impl<R: Showing> Past for row::Held<R> {
    fn evolve(
        &mut self,
        event: &Event,
        revision: i64,
        recorded_at: DateTime<Utc>,
    ) -> Result<(), Inapplicable> {
        // What it adds to rows that many things share is nothing of its own.
        Slot::evolve(self, event, revision, recorded_at, &mut Sums::default())
    }

    fn shown(&self) -> Result<Option<(i64, String)>, serde_json::Error> {
        let shown = |(row, revision): &(R, i64)| Ok((*revision, row.show(*revision)?));
        self.row.as_ref().map(shown).transpose()
    }
}
