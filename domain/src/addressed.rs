//! A command on its way to a stream.

use crate::{Command, Listed, id::StreamId};

/// A command and the stream that it is for, which are of one aggregate: nothing else can be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Addressed {
    stream: StreamId,
    command: Command,
}

impl Addressed {
    #[must_use]
    pub fn to<A: Listed>(id: &A::Id, command: A::Command) -> Self {
        Self { stream: StreamId::of::<A>(id), command: A::command(command) }
    }

    /// What time itself asks of a stream, if it does of any of this kind.
    #[must_use]
    pub fn expiry(stream: StreamId) -> Option<Self> {
        let command = stream.stream_type()?.expire()?;
        Some(Self { stream, command })
    }

    #[must_use]
    pub const fn stream(&self) -> &StreamId {
        &self.stream
    }

    #[must_use]
    pub const fn command(&self) -> &Command {
        &self.command
    }

    #[must_use]
    pub fn into_parts(self) -> (StreamId, Command) {
        (self.stream, self.command)
    }
}
