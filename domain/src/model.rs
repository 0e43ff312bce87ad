//! All aggregates under one roof: the engine, the codec and the projections handle any of them.
//!
//! **Invariant:** a line in the list of `lib.rs` makes an aggregate known everywhere; no other place
//! enumerates them.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeSeed};

use crate::{
    aggregate::{Aggregate, Decide, Evolve, Refusal, RejectionKind},
    personal::Texts,
    timestamp::Timestamp,
    upcast::Upcast,
};

#[cfg(test)]
mod tests;

/// An aggregate that stands in the list.
pub trait Listed: Aggregate {
    const TYPE: StreamType;

    #[must_use]
    fn command(command: Self::Command) -> Command;

    /// `None` if it is the state of another aggregate.
    #[must_use]
    fn of(state: &State) -> Option<&Arc<Self>>;
}

/// Something to do with each aggregate.
pub trait AggregateVisitor {
    fn visit<A: Listed>(&mut self, variant: &'static str);
}

macro_rules! aggregates {
    ($($(#[$when:meta])* $variant:ident($aggregate:ty),)+) => {
        /// The kinds of streams.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum StreamType { $($(#[$when])* $variant),+ }

        $($(#[$when])* impl Listed for $aggregate {
            const TYPE: StreamType = StreamType::$variant;

            fn command(command: Self::Command) -> Command {
                Command::$variant(command)
            }

            fn of(state: &State) -> Option<&Arc<Self>> {
                if let State::$variant(state) = state { Some(state) } else { None }
            }
        })+

        /// Visits all aggregates, with the names of their variants in the enums of this module.
        pub fn visit_all(visitor: &mut impl AggregateVisitor) {
            $($(#[$when])* visitor.visit::<$aggregate>(stringify!($variant));)+
        }

        impl StreamType {
            pub const ALL: &[Self] = &[$($(#[$when])* Self::$variant),+];

            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $($(#[$when])* Self::$variant => <$aggregate as Aggregate>::NAME),+ }
            }

            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($(#[$when])* <$aggregate as Aggregate>::NAME => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// [`Aggregate::STATE_VERSION`].
            #[must_use]
            pub const fn state_version(self) -> u32 {
                match self {
                    $($(#[$when])* Self::$variant => <$aggregate as Aggregate>::STATE_VERSION),+
                }
            }

            /// [`Aggregate::UPCASTS`].
            #[must_use]
            pub const fn upcasts(self) -> &'static [Upcast] {
                match self {
                    $($(#[$when])* Self::$variant => <$aggregate as Aggregate>::UPCASTS),+
                }
            }

            /// [`Aggregate::IS_RELEASED`].
            #[must_use]
            pub const fn is_released(self) -> bool {
                match self {
                    $($(#[$when])* Self::$variant => <$aggregate as Aggregate>::IS_RELEASED),+
                }
            }

            /// [`Aggregate::TEXTS`].
            #[must_use]
            pub const fn texts(self) -> &'static [Texts] {
                match self {
                    $($(#[$when])* Self::$variant => <$aggregate as Aggregate>::TEXTS),+
                }
            }

            /// The state of a stream of this kind that has no events.
            #[must_use]
            pub fn empty(self) -> State {
                match self {
                    $($(#[$when])* Self::$variant => State::$variant(Arc::default())),+
                }
            }

            /// [`Decide::expire`].
            #[must_use]
            pub fn expire(self) -> Option<Command> {
                match self {
                    $($(#[$when])* Self::$variant => <$aggregate>::expire().map(Command::$variant)),+
                }
            }
        }

        /// A command for any aggregate.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub enum Command { $($(#[$when])* $variant(<$aggregate as Decide>::Command)),+ }

        impl Command {
            #[must_use]
            pub const fn stream_type(&self) -> StreamType {
                match self { $($(#[$when])* Self::$variant(_) => StreamType::$variant),+ }
            }
        }

        /// An event of any aggregate.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Event { $($(#[$when])* $variant(<$aggregate as Evolve>::Event)),+ }

        impl Event {
            #[must_use]
            pub const fn stream_type(&self) -> StreamType {
                match self { $($(#[$when])* Self::$variant(_) => StreamType::$variant),+ }
            }

            /// [`Aggregate::samples`] of all aggregates.
            #[cfg(any(test, feature = "testing"))]
            #[must_use]
            pub fn samples() -> Vec<Self> {
                let mut all = Vec::new();
                $($(#[$when])* all.extend(<$aggregate>::samples().into_iter().map(Self::$variant));)+
                all
            }
        }

        /// As the aggregate's own event: `{"type": .., "data": ..}`.
        impl Serialize for Event {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self { $($(#[$when])* Self::$variant(event) => event.serialize(serializer)),+ }
            }
        }

        /// Reads an event of a stream of this kind.
        impl<'de> DeserializeSeed<'de> for StreamType {
            type Value = Event;

            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Event, D::Error> {
                match self {
                    $($(#[$when])* Self::$variant => {
                        Deserialize::deserialize(deserializer).map(Event::$variant)
                    })+
                }
            }
        }

        /// The state of any aggregate. Clones share it.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub enum State { $($(#[$when])* $variant(Arc<$aggregate>)),+ }

        impl State {
            #[must_use]
            pub const fn stream_type(&self) -> StreamType {
                match self { $($(#[$when])* Self::$variant(_) => StreamType::$variant),+ }
            }

            /// Folds an event in. False if it belongs to another kind of stream, which only a
            /// foreign writer could have caused: then nothing changed.
            #[must_use]
            pub fn evolve(&mut self, event: &Event) -> bool {
                match (self, event) {
                    $($(#[$when])* (Self::$variant(state), Event::$variant(event)) => {
                        Arc::make_mut(state).evolve(event);
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
                    $($(#[$when])* (Self::$variant(state), Command::$variant(command)) => state
                        .decide(command, now)
                        .map(|events| events.into_iter().map(Event::$variant).collect())
                        .map_err(Rejection::$variant),)+
                    _ => Err(Rejection::WrongStream),
                }
            }

            #[must_use]
            pub fn next_deadline(&self) -> Option<Timestamp> {
                match self { $($(#[$when])* Self::$variant(state) => state.next_deadline()),+ }
            }
        }

        /// A refusal by any aggregate.
        #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
        pub enum Rejection {
            $($(#[$when])* #[error(transparent)] $variant(<$aggregate as Decide>::Rejection),)+
            /// A command was sent to a stream of another kind: a bug of the caller.
            #[error("the command does not belong to this kind of stream")]
            WrongStream,
        }

        impl Refusal for Rejection {
            fn grounds(&self) -> (RejectionKind, &'static str) {
                match self {
                    $($(#[$when])* Self::$variant(rejection) => rejection.grounds(),)+
                    Self::WrongStream => (RejectionKind::Conflict, "wrong_stream"),
                }
            }
        }
    };
}

with_aggregates!(aggregates);

impl StreamType {
    /// What is declared of the texts of an event such as `order.placed`.
    #[must_use]
    pub fn texts_of(event: &str) -> Option<&'static Texts> {
        let (stream_type, event) = event.split_once('.')?;
        Self::parse(stream_type)?.texts().iter().find(|texts| texts.event == event)
    }
}
