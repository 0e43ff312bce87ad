//! What one shard does next. Pure: no IO, no clock, no randomness. Time arrives as an input.
//!
//! The life of a shard is a circle: claim, replay up to the own claim, serve, and from the first
//! doubt (a failed or missing delivery, a newer claim, silence) claim again. Commands that wait go
//! round with it: what the replay finds in the log is answered from there, the rest is decided
//! anew, for the newer claim keeps older records from ever counting.
//!
//! **Invariant:** each submitted request gets exactly one reply, whatever the order of inputs.
//! **Invariant:** state, dedup table and replies follow the reader machine and nothing else.

mod claims;
mod decide;
mod delivery;
mod emit;
#[cfg(feature = "simulation")]
mod mistaken;
mod read;
mod save;
mod take_over;
#[cfg(test)]
mod tests;
mod time;

use std::{collections::VecDeque, sync::Arc};

use domain::{
    id::{CommandId, StreamId},
    shard::ShardId,
    timestamp::Timestamp,
};
use infra::{
    log::{
        Checkpoint, Nonce, Offset, OutgoingRecord, Report, Ticket,
        mistake::{Mistake, Mistakes},
        reader::Reader,
    },
    position::Position,
};
use rustc_hash::FxHashMap;

use super::{
    Answer, Outcome, Snapshot, Submission, SubmitError,
    batch::Batch,
    dedup::Dedup,
    effect::{Effect, Input, RequestId, Role, TakeOverReason},
    status::{Phase, ShardStatus},
    store::{Known, StateStore, StoreError},
    streams::Streams,
};
use claims::Claims;

/// Commands without an outcome; beyond it new ones are told [`SubmitError::Busy`].
const COMMANDS_PENDING_MAX: usize = 10_000;

/// One shard's machine.
pub struct Machine {
    shard: ShardId,
    actor: Arc<str>,
    reader: Reader,
    mode: Mode,
    /// Until told otherwise the shard is none of this node's business.
    role: Role,
    claims: Claims,
    reading: Reading,
    /// What the writer has not taken yet. It is part of what is in flight, and so bounded by
    /// [`COMMANDS_PENDING_MAX`].
    unsent: VecDeque<(OutgoingRecord, Ticket)>,
    /// Since the writer had no room nothing has made some.
    is_writer_full: bool,
    streams: Streams,
    dedup: Dedup,
    /// All commands without an outcome, decided or not.
    commands: FxHashMap<CommandId, Waiting>,
    /// Those of them that are not decided, in the order in which they will be.
    undecided: VecDeque<CommandId>,
    /// Reads that no record of this epoch proves.
    unproven_reads: Vec<RequestId>,
    /// The store has been told of everything up to here, or is about to be.
    saved_up_to: Checkpoint,
    unsaved_bytes_max: usize,
    /// The store could not even tell how far it goes.
    failure: Option<StoreError>,
    /// When the log last told what was waited for, or nothing was: a claim's report and records that are
    /// fetched included.
    heard_at: Timestamp,
    now: Timestamp,
    /// What the clock showed last.
    clock: Timestamp,
    mistakes: Mistakes,
    /// Whether somebody listens to what is emitted.
    has_listener: bool,
    /// Whether all records are read back before they are appended, also those for which a sample will do.
    reads_all_back: bool,
    #[cfg(feature = "simulation")]
    kept: mistaken::Kept,
}

/// How far the log is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Nothing,
    /// All that comes.
    Following,
    UpTo(Offset),
}

enum Mode {
    Idle,
    Claiming { nonce: Nonce },
    Replaying { nonce: Nonce, epoch: Offset },
    Serving(Box<Serving>),
}

struct Serving {
    batch: Batch,
    /// Set while records of other writers are fetched; reports wait in `held` meanwhile.
    hole_end: Option<Offset>,
    held: VecDeque<Report>,
    /// Reads, each behind the sequence number whose emission proves it.
    reads: VecDeque<(u64, RequestId)>,
}

impl Serving {
    fn is_at_rest(&self) -> bool {
        self.batch.unsettled() == 0 && !self.batch.has_in_flight() && self.hole_end.is_none()
    }
}

struct Waiting {
    submission: Arc<Submission>,
    waiters: Vec<Waiter>,
    /// In which epoch this machine has decided it last.
    decided_in: Option<Offset>,
}

struct Waiter {
    request: RequestId,
    replayed: bool,
}

impl Machine {
    /// Goes on from where `store` ends, with up to `cache_bytes` for what it could load again.
    #[must_use]
    pub fn new(shard: ShardId, store: Arc<dyn StateStore>, cache_bytes: usize) -> Self {
        let (checkpoint, failure) = match store.checkpoint() {
            Ok(checkpoint) => (checkpoint.unwrap_or_default(), None),
            Err(error) => (Checkpoint::START, Some(error)),
        };
        Self {
            shard,
            actor: format!("shard:{shard}").into(),
            reader: Reader::resume(checkpoint),
            mode: Mode::Idle,
            role: Role::Away,
            claims: Claims::default(),
            reading: Reading::Nothing,
            unsent: VecDeque::new(),
            is_writer_full: false,
            streams: Streams::new(Arc::clone(&store), cache_bytes),
            dedup: Dedup::new(store),
            commands: FxHashMap::default(),
            undecided: VecDeque::new(),
            unproven_reads: Vec::new(),
            saved_up_to: checkpoint,
            unsaved_bytes_max: save::unsaved_bytes_max(cache_bytes),
            failure,
            heard_at: Timestamp::default(),
            now: Timestamp::default(),
            clock: Timestamp::default(),
            mistakes: Mistakes::default(),
            has_listener: false,
            reads_all_back: cfg!(debug_assertions),
            #[cfg(feature = "simulation")]
            kept: mistaken::Kept::default(),
        }
    }

    /// Reads all records back before they are appended, in releases, too.
    #[cfg(feature = "simulation")]
    pub fn read_all_back(&mut self) {
        self.reads_all_back = true;
    }

    /// Tells each commit from now on in [`Effect::Emitted`], or no more.
    pub fn tell_commits(&mut self, has_listener: bool) {
        self.has_listener = has_listener;
    }

    /// Where a reader of the log goes on that has read as far as this machine.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        self.reader.checkpoint()
    }

    /// Takes one input and adds what is to be done to `effects`, in order.
    pub fn step(&mut self, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::RoleChanged { role, now } => {
                self.advance(now);
                self.change_role(role);
            }
            Input::ClaimReady { claim, now } => {
                self.advance(now);
                self.claim(claim, effects);
            }
            Input::Submitted { request, submission, now } => {
                self.advance(now);
                self.submitted(request, submission, effects);
            }
            Input::Asked { request, now } => {
                self.advance(now);
                self.asked(request, effects);
            }
            Input::Heard { now } => {
                self.advance(now);
                self.heard_at = self.now;
            }
            Input::Reported { report } => {
                self.is_writer_full = false;
                if report.ticket == Ticket::CLAIM {
                    self.claim_reported(&report.result, effects);
                } else {
                    self.reported(report, effects);
                }
            }
            Input::QueueFull { records } => self.keep_unsent(records),
            Input::AppendFailed => self.take_over(TakeOverReason::AppendFailed, effects),
            Input::Fetched { records } => {
                self.heard_at = self.now;
                self.fetched(records, effects);
            }
            Input::Ticked { now } => {
                self.advance(now);
                self.is_writer_full = false;
                self.watch(effects);
                self.expire(effects);
            }
            Input::Drained { now } => {
                self.advance(now);
                self.send(effects);
                self.let_go_if_idle(effects);
                self.claim_if_due(effects);
                self.follow_if_idle(effects);
            }
        }
    }

    /// The confirmed state of a stream.
    ///
    /// # Errors
    /// The stream holds an event that this release cannot read, or the store cannot.
    pub fn snapshot(&mut self, stream: &StreamId) -> Result<Snapshot, SubmitError> {
        #[cfg(feature = "simulation")]
        if self.mistakes.has(Mistake::ReadsShowSpeculation) {
            return self.newest(stream);
        }
        Ok(self.streams.confirmed(stream)?)
    }

    /// Whether the state is that of an owner: before, reads would show a past without a bound.
    #[must_use]
    pub const fn is_serving(&self) -> bool {
        matches!(self.mode, Mode::Serving(_))
    }

    /// Whether what the log holds may be fed: while a claim is on its way, only its report tells
    /// whether a claim with its nonce is the one that counts.
    #[must_use]
    pub const fn follows(&self) -> bool {
        !matches!(self.mode, Mode::Claiming { .. })
    }

    /// Whether neither a claim nor a writer is there.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        matches!(self.mode, Mode::Idle)
    }

    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.reader.next_offset()
    }

    /// Records whose delivery is not reported.
    pub(super) fn in_flight(&self) -> usize {
        match &self.mode {
            Mode::Serving(serving) => serving.batch.in_flight(),
            Mode::Idle | Mode::Claiming { .. } | Mode::Replaying { .. } => 0,
        }
    }

    /// When the shell should tick next, if before its regular tick.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Timestamp> {
        let Mode::Serving(serving) = &self.mode else { return self.claims.due() };
        let barrier = serving.batch.wakes_at();
        barrier.into_iter().chain(self.streams.next_deadline()).min()
    }

    #[must_use]
    pub fn status(&self) -> ShardStatus {
        let (phase, pending) = match &self.mode {
            Mode::Idle => (Phase::Idle, 0),
            Mode::Claiming { .. } => (Phase::Claiming, 0),
            Mode::Replaying { .. } => (Phase::Replaying, 0),
            Mode::Serving(serving) => (Phase::Serving, serving.batch.unsettled()),
        };
        ShardStatus {
            shard: self.shard,
            phase,
            epoch: self.reader.epoch(),
            seq: self.reader.last_seq(),
            next_offset: self.reader.next_offset(),
            pending: pending + self.undecided.len() + self.reads_pending(),
            streams: self.streams.len(),
            remembered: self.dedup.len(),
            stalled: self.is_stalled(),
        }
    }

    /// Keeps an emitted outcome and answers all who wait for it.
    fn settle(&mut self, command_id: CommandId, known: Known, effects: &mut Vec<Effect>) {
        if let Some(waiting) = self.commands.remove(&command_id) {
            let same_request = known.request_hash == waiting.submission.request_hash;
            for waiter in waiting.waiters {
                let result = if same_request {
                    // What was decided elsewhere was an earlier request's, though it was tried here, too.
                    let is_own = waiting.decided_in == Some(self.reader.epoch());
                    let replayed = waiter.replayed || !is_own;
                    Ok(self.answer(known.outcome.clone(), replayed, known.next_offset))
                } else {
                    Err(SubmitError::KeyReused)
                };
                effects.push(Effect::Reply { request: waiter.request, result });
            }
        }
        if !self.forgets(&known) {
            self.dedup.insert(command_id, known, self.now);
        }
    }

    fn forgets(&self, known: &Known) -> bool {
        let replaying = matches!(self.mode, Mode::Replaying { .. });
        let committed = matches!(known.outcome, Outcome::Committed { .. });
        (replaying && self.mistakes.has(Mistake::DedupNotRebuilt))
            || (!committed && self.mistakes.has(Mistake::RefusalsForgotten))
    }

    fn refuse(&mut self, command_id: CommandId, error: SubmitError, effects: &mut Vec<Effect>) {
        let Some(waiting) = self.commands.remove(&command_id) else { return };
        let replies = waiting
            .waiters
            .into_iter()
            .map(|waiter| Effect::Reply { request: waiter.request, result: Err(error) });
        effects.extend(replies);
    }

    fn answer(&self, outcome: Outcome, replayed: bool, next_offset: Offset) -> Answer {
        Answer { outcome, replayed, position: self.position_at(next_offset) }
    }

    /// How far what is shown has come: nothing that was answered before it is missing.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position_at(self.reader.next_offset())
    }

    fn position_at(&self, next_offset: Offset) -> Position {
        let log_id = self.reader.log_id();
        log_id.map(|id| Position::of(self.shard, id, next_offset)).unwrap_or_default()
    }
}
