//! All aggregates under one roof: the engine, the codec and the projections handle any of them.
//!
//! **Invariant:** one line in the list below makes an aggregate known everywhere; no other place
//! enumerates them.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeSeed};

use crate::{
    aggregate::{Decide, Evolve, RejectionKind},
    capability::{self, Capabilities},
    timestamp::Timestamp,
};

#[cfg(test)]
mod tests;

/// The version of what `evolve` makes of events, and of the form that states are stored in.
///
/// A state stored by another version is folded anew from the log. Whoever changes a `state.rs` or
/// what an `evolve` does raises it; a test of the state store tells when that was forgotten.
pub const FOLD_VERSION: u32 = 3;

macro_rules! aggregates {
    ($($variant:ident = $text:literal in $module:ident as $state:ident),+ $(,)?) => {
        /// The kinds of streams.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum StreamType { $($variant),+ }

        impl StreamType {
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }

            /// The state of a stream of this kind that has no events.
            #[must_use]
            pub fn empty(self) -> State {
                match self { $(Self::$variant => State::$variant(Box::default())),+ }
            }
        }

        /// A command for any aggregate.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub enum Command { $($variant(crate::$module::Command)),+ }

        impl Command {
            /// Tells all that the aggregates' commands are read from.
            pub(crate) fn each_aggregate(known: &mut Capabilities) {
                $(capability::ask::<crate::$module::Command>(stringify!($variant), known);)+
            }

            #[must_use]
            pub const fn stream_type(&self) -> StreamType {
                match self { $(Self::$variant(_) => StreamType::$variant),+ }
            }

            /// The command that time itself gives to an aggregate whose deadline has come.
            #[must_use]
            pub const fn expire(kind: StreamType) -> Option<Self> {
                match kind {
                    StreamType::Cart => Some(Self::Cart(crate::cart::Command::Expire)),
                    StreamType::Payment => Some(Self::Payment(crate::payment::Command::Expire)),
                    StreamType::Sku => Some(Self::Sku(crate::sku::Command::Lapse)),
                    StreamType::Stock => Some(Self::Stock(crate::stock::Command::Expire)),
                    StreamType::ApiKey
                    | StreamType::Order
                    | StreamType::Process
                    | StreamType::Product => None,
                }
            }
        }

        /// An event of any aggregate.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Event { $($variant(crate::$module::Event)),+ }

        impl Event {
            #[must_use]
            pub const fn stream_type(&self) -> StreamType {
                match self { $(Self::$variant(_) => StreamType::$variant),+ }
            }
        }

        /// As the aggregate's own event: `{"type": .., "data": ..}`.
        impl Serialize for Event {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self { $(Self::$variant(event) => event.serialize(serializer)),+ }
            }
        }

        /// Reads an event of a stream of this kind.
        impl<'de> DeserializeSeed<'de> for StreamType {
            type Value = Event;

            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Event, D::Error> {
                match self {
                    $(Self::$variant => {
                        crate::$module::Event::deserialize(deserializer).map(Event::$variant)
                    })+
                }
            }
        }

        /// The state of any aggregate.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub enum State { $($variant(Box<crate::$module::$state>)),+ }

        impl State {
            #[must_use]
            pub const fn stream_type(&self) -> StreamType {
                match self { $(Self::$variant(_) => StreamType::$variant),+ }
            }

            /// Folds an event in. False if it belongs to another kind of stream, which only a
            /// foreign writer could have caused: then nothing changed.
            #[must_use]
            pub fn evolve(&mut self, event: &Event) -> bool {
                match (self, event) {
                    $((Self::$variant(state), Event::$variant(event)) => {
                        state.evolve(event);
                        true
                    })+
                    _ => false,
                }
            }

            /// Decides a command.
            ///
            /// # Errors
            /// The business reason for a no.
            pub fn decide(
                &self,
                command: &Command,
                now: Timestamp,
            ) -> Result<Vec<Event>, Rejection> {
                match (self, command) {
                    $((Self::$variant(state), Command::$variant(command)) => state
                        .decide(command, now)
                        .map(|events| events.into_iter().map(Event::$variant).collect())
                        .map_err(Rejection::$variant),)+
                    _ => Err(Rejection::WrongStream),
                }
            }

            #[must_use]
            pub fn next_deadline(&self) -> Option<Timestamp> {
                match self { $(Self::$variant(state) => state.next_deadline()),+ }
            }
        }

        /// A refusal by any aggregate.
        #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
        pub enum Rejection {
            $(#[error(transparent)] $variant(crate::$module::Rejection),)+
            /// A command was sent to a stream of another kind: a bug of the caller.
            #[error("the command does not belong to this kind of stream")]
            WrongStream,
        }

        impl Rejection {
            /// Stable, for machines; clients rely on it.
            #[must_use]
            pub fn code(&self) -> &'static str {
                match self {
                    $(Self::$variant(rejection) => rejection.code(),)+
                    Self::WrongStream => "wrong_stream",
                }
            }

            #[must_use]
            pub fn kind(&self) -> RejectionKind {
                match self {
                    $(Self::$variant(rejection) => rejection.kind(),)+
                    Self::WrongStream => RejectionKind::Conflict,
                }
            }
        }
    };
}

aggregates! {
    ApiKey = "api_key" in api_key as ApiKey,
    Cart = "cart" in cart as Cart,
    Order = "order" in order as Order,
    Payment = "payment" in payment as Payment,
    Process = "process" in process as Process,
    Product = "product" in product as Product,
    Sku = "sku" in sku as SkuClaim,
    Stock = "stock" in stock as Stock,
}
