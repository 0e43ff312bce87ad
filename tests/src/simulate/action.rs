//! Everything that can happen, one thing at a time.
//!
//! **Invariant:** an action says all that there is to choose, so that the same actions give the
//! same history, whoever chose them: chance or the exhaustive search.

use std::fmt;

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    /// A client sends a planned command to a node.
    Submit { plan: usize, node: usize },
    /// A client reads a stream from a node.
    Read { stream: usize, node: usize },

    /// The oldest record on a node's wire meets its fate.
    Deliver { node: usize, fate: Fate },
    /// A record of a lost, failed or dropped append lands after all.
    GhostLands { ghost: usize },
    /// Somebody else writes what no writer of ours would.
    ForeignLands,

    /// A node's shell wakes up for something; see [`Turn`].
    Turn { node: usize, turn: Turn },
    /// The node's producer takes no more records.
    ProducerFails { node: usize },

    /// Another node should own the shard; who does not look goes on as before.
    Elect { node: usize },
    /// Time passes for all.
    Pass { micros: i64 },
    /// A node's wall clock is set.
    ClockJumps { node: usize, micros: i64 },
    /// SIGSTOP: what was sent may still land, but the node sees nothing.
    Pause { node: usize },
    /// SIGCONT.
    Continue { node: usize },
    /// Memory is lost. Of the batches that were written or are being written the first `kept` are
    /// in the store: all of them after SIGKILL, but for the last, fewer after a power cut.
    Crash { node: usize, kept: usize },
    /// What the node's store holds cannot be read any more.
    StoreBreaks { node: usize },
    /// A killed node starts again.
    Start { node: usize },

    /// A projector reads so many records.
    Project { projector: usize, records: usize },
    /// It writes what it has read; the answer of the database may get lost.
    Write { projector: usize, answered: bool },
    /// Its memory is lost.
    CrashProjector { projector: usize },
}

/// What a shell wakes up for. It takes as much of it as it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Turn {
    /// What became of appended records.
    Reports { count: usize },
    /// Records of the log.
    Chunk { count: usize },
    /// Of clients.
    Requests { count: usize },
    /// Who should own the shard.
    View,
    /// Time has passed.
    Tick,
    /// It is time to save.
    SaveBegin,
    /// A batch has met its fate.
    SaveEnd { fate: SaveFate },
}

/// What becomes of a batch that is written to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum SaveFate {
    Written,
    WrittenReportedFailed,
    Fails,
}

impl SaveFate {
    pub(super) const FAULTS: [Self; 2] = [Self::WrittenReportedFailed, Self::Fails];
}

/// What becomes of an appended record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fate {
    Lands,
    LandsWithoutOffset,
    LandsReportedFailed,
    LandsUnreported,
    /// Two copies land, one behind the other; the report tells of the first or the second.
    LandsTwice {
        second: bool,
    },
    /// It lands and is reported; a copy may land at any later time.
    LandsAndHaunts,
    /// Reported as failed; it may land at any later time. What follows it goes on.
    Fails {
        /// The report overtakes those of earlier records.
        early: bool,
    },
    /// Not reported at all; it may land at any later time.
    Vanishes,
}

impl Fate {
    pub(super) const FAULTS: [Self; 9] = [
        Self::LandsWithoutOffset,
        Self::LandsReportedFailed,
        Self::LandsUnreported,
        Self::LandsTwice { second: false },
        Self::LandsTwice { second: true },
        Self::LandsAndHaunts,
        Self::Fails { early: false },
        Self::Fails { early: true },
        Self::Vanishes,
    ];
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Submit { plan, node } => write!(f, "plan {plan} is sent to n{node}"),
            Self::Read { stream, node } => write!(f, "stream {stream} is read from n{node}"),
            Self::Deliver { node, fate } => write!(f, "n{node} appends: {fate:?}"),
            Self::GhostLands { ghost } => write!(f, "ghost {ghost} lands"),
            Self::ForeignLands => write!(f, "a foreign record lands"),
            Self::Turn { node, turn } => write!(f, "n{node} wakes up: {turn:?}"),
            Self::ProducerFails { node } => write!(f, "n{node}'s producer fails"),
            Self::Elect { node } => write!(f, "n{node} should own the shard"),
            Self::Pass { micros } => write!(f, "{} ms pass", micros / 1_000),
            Self::ClockJumps { node, micros } => {
                write!(f, "n{node}'s clock jumps by {} ms", micros / 1_000)
            }
            Self::Pause { node } => write!(f, "n{node} is stopped"),
            Self::Continue { node } => write!(f, "n{node} continues"),
            Self::Crash { node, kept } => {
                write!(f, "n{node} is killed; its store holds {kept} batches")
            }
            Self::StoreBreaks { node } => write!(f, "n{node}'s store breaks"),
            Self::Start { node } => write!(f, "n{node} starts"),
            Self::Project { projector, records } => write!(f, "p{projector} reads {records}"),
            Self::Write { projector, answered: true } => write!(f, "p{projector} writes"),
            Self::Write { projector, answered: false } => {
                write!(f, "p{projector} writes and hears no answer")
            }
            Self::CrashProjector { projector } => write!(f, "p{projector} is killed"),
        }
    }
}
