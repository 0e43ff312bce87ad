//! What has been decided and not yet been emitted: the group that gathers, and those under way.
//!
//! Every command that arrives while appends are under way joins the next group. A group's
//! commits get their sequence numbers as they are decided; its outcomes without events (rejections
//! and commands that changed nothing) share one barrier at its end.
//!
//! **Invariant:** sequence numbers are given in the order of appending, without a gap.

use std::collections::VecDeque;

use domain::{
    Event,
    id::{CommandId, StreamId},
    timestamp::Timestamp,
};
use infra::log::{
    Nonce, Offset, OutgoingRecord, Ticket,
    record::{BarrierRecord, OutcomeRecord, Place, RequestHash},
};

use super::Outcome;

/// Groups under way at once. With another one in its queue, librdkafka's thread neither sends it before
/// the first is acknowledged nor waits for that: it looks at the clock, for as long as a processor.
const GROUPS_SENT_MAX: usize = 1;

/// Records in a group. A full group is sent although others are under way.
const GROUP_RECORDS_MAX: usize = 2_000;

/// Outcomes in one barrier, which keeps its record far below the broker's limit.
const BARRIER_OUTCOMES_MAX: usize = 500;

/// How long a barrier without a commit beside it waits for one.
const LONE_BARRIER_WAIT_MICROS: i64 = 5_000;

/// A commit or barrier whose emission is awaited.
pub(super) struct Pending {
    pub(super) seq: u64,
    pub(super) body: PendingBody,
}

pub(super) enum PendingBody {
    Commit { command_id: CommandId, stream: StreamId, events: Vec<Event> },
    Barrier { decided: Vec<Decided> },
}

/// An outcome that a barrier carries.
#[cfg_attr(feature = "simulation", derive(Clone))]
pub(super) struct Decided {
    pub(super) command_id: CommandId,
    pub(super) request_hash: RequestHash,
    pub(super) outcome: Outcome,
}

impl Decided {
    /// `None` if the outcome is not one that this release writes.
    pub(super) fn from_record(record: &OutcomeRecord) -> Option<Self> {
        let OutcomeRecord { command_id, request_hash, .. } = *record;
        Some(Self { command_id, request_hash, outcome: Outcome::from_record(record)? })
    }
}

/// The writer's side of an epoch.
pub(super) struct Batch {
    epoch: Offset,
    claim: Nonce,
    next_seq: u64,
    gathering: Vec<(OutgoingRecord, Ticket)>,
    outcomes: Vec<Decided>,
    /// Since when something waits for a barrier: outcomes, or somebody who wants a proof.
    lone_since: Option<Timestamp>,
    /// All that is decided, in the order of its sequence numbers.
    pending: VecDeque<Pending>,
    /// Records under way, in the order of appending.
    in_flight: VecDeque<(OutgoingRecord, Ticket)>,
    /// The last ticket of each group under way.
    groups: VecDeque<Ticket>,
}

impl Batch {
    pub(super) fn new(epoch: Offset, claim: Nonce, last_seq: u64) -> Self {
        Self {
            epoch,
            claim,
            next_seq: last_seq + 1,
            gathering: Vec::new(),
            outcomes: Vec::new(),
            lone_since: None,
            pending: VecDeque::new(),
            in_flight: VecDeque::new(),
            groups: VecDeque::new(),
        }
    }

    pub(super) const fn epoch(&self) -> Offset {
        self.epoch
    }

    pub(super) const fn next_seq(&self) -> u64 {
        self.next_seq
    }

    pub(super) fn place(&self, index: u32, count: u32) -> Place {
        Place { epoch: self.epoch, claim: self.claim, seq: self.next_seq, index, count }
    }

    /// Commits, barriers and outcomes that are not settled.
    pub(super) fn unsettled(&self) -> usize {
        self.pending.len() + self.outcomes.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.gathering.len() >= GROUP_RECORDS_MAX || self.outcomes.len() >= BARRIER_OUTCOMES_MAX
    }

    pub(super) fn has_in_flight(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// Records whose delivery is not reported.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    pub(super) fn add_commit(
        &mut self,
        command_id: CommandId,
        stream: StreamId,
        events: Vec<Event>,
        records: impl IntoIterator<Item = OutgoingRecord>,
    ) {
        let seq = self.next_seq;
        for (record, index) in records.into_iter().zip(0..) {
            self.gathering.push((record, Ticket { epoch: self.epoch, seq, index }));
        }
        self.next_seq += 1;
        self.pending
            .push_back(Pending { seq, body: PendingBody::Commit { command_id, stream, events } });
    }

    pub(super) fn add_outcome(&mut self, decided: Decided, now: Timestamp) {
        self.lone_since.get_or_insert(now);
        self.outcomes.push(decided);
    }

    /// The first record from now on, which tells whether this is the writer still. It need not be
    /// a commit: a barrier goes out if nothing else does.
    pub(super) fn prove(&mut self, now: Timestamp) -> u64 {
        if !self.gathering.is_empty() {
            return self.next_seq - 1;
        }
        self.lone_since.get_or_insert(now);
        self.next_seq
    }

    /// When a barrier that waits for a ride goes alone.
    fn lone_barrier_due(&self) -> Option<Timestamp> {
        let since = self.lone_since.filter(|_| self.gathering.is_empty())?;
        Some(Timestamp::from_micros(since.as_micros() + LONE_BARRIER_WAIT_MICROS))
    }

    /// When there is something to do because of that.
    pub(super) fn wakes_at(&self) -> Option<Timestamp> {
        // With enough under way it is a report that wakes.
        self.lone_barrier_due().filter(|_| self.groups.len() < GROUPS_SENT_MAX)
    }

    /// The next group, if there is one and the time is right for it.
    pub(super) fn take_group(&mut self, now: Timestamp) -> Option<Vec<(OutgoingRecord, Ticket)>> {
        let waits_for_ride = self.lone_barrier_due().is_some_and(|due| now < due);
        let empty = self.gathering.is_empty() && self.lone_since.is_none();
        let held_back = self.groups.len() >= GROUPS_SENT_MAX && !self.is_full();
        if empty || held_back || (waits_for_ride && !self.is_full()) {
            return None;
        }
        self.close_with_barrier(now);
        let group = std::mem::take(&mut self.gathering);
        self.groups.extend(group.last().map(|(_, ticket)| *ticket));
        self.in_flight.extend(group.iter().cloned());
        Some(group)
    }

    fn close_with_barrier(&mut self, now: Timestamp) {
        self.lone_since = None;
        // A commit proves what a barrier without outcomes would.
        if self.outcomes.is_empty() && !self.gathering.is_empty() {
            return;
        }
        let decided = std::mem::take(&mut self.outcomes);
        let outcomes: Vec<OutcomeRecord> = decided
            .iter()
            .filter_map(|d| d.outcome.to_record(d.command_id, d.request_hash))
            .collect();
        let place = self.place(0, 1);
        let barrier = BarrierRecord { place, recorded_at: now, outcomes };
        let ticket = Ticket { epoch: self.epoch, seq: place.seq, index: 0 };
        self.gathering.push((OutgoingRecord::Barrier(barrier), ticket));
        self.next_seq += 1;
        self.pending.push_back(Pending { seq: place.seq, body: PendingBody::Barrier { decided } });
    }

    /// The record that a report is about; `None` if it is not the one that is due, which means
    /// that a report before it is missing.
    pub(super) fn take_in_flight(&mut self, ticket: Ticket) -> Option<OutgoingRecord> {
        let (record, _) = self.in_flight.pop_front_if(|(_, due)| *due == ticket)?;
        if self.groups.front() == Some(&ticket) {
            self.groups.pop_front();
        }
        Some(record)
    }

    /// What was decided under this sequence number, once it is emitted.
    pub(super) fn settle(&mut self, seq: u64) -> Option<PendingBody> {
        self.pending.pop_front_if(|pending| pending.seq == seq).map(|pending| pending.body)
    }

    /// All that is decided and not settled, for the simulator's mistakes.
    #[cfg(feature = "simulation")]
    pub(super) fn decided_mut(&mut self) -> (&mut VecDeque<Pending>, &mut Vec<Decided>) {
        (&mut self.pending, &mut self.outcomes)
    }

    #[cfg(feature = "simulation")]
    pub(super) fn next_settled(&self) -> Option<u64> {
        self.pending.front().map(|pending| pending.seq)
    }

    #[cfg(feature = "simulation")]
    pub(super) fn in_flight_mut(&mut self) -> &mut VecDeque<(OutgoingRecord, Ticket)> {
        &mut self.in_flight
    }

    #[cfg(feature = "simulation")]
    pub(super) fn last_gathered(&self) -> Option<&OutgoingRecord> {
        self.gathering.last().map(|(record, _)| record)
    }

    /// Streams that hold speculation.
    pub(super) fn speculative_streams(&self) -> impl Iterator<Item = &StreamId> {
        self.pending.iter().filter_map(|pending| match &pending.body {
            PendingBody::Commit { stream, .. } => Some(stream),
            PendingBody::Barrier { .. } => None,
        })
    }

    /// All commands without a settled outcome, in the order of their decision.
    pub(super) fn into_undecided(self) -> impl Iterator<Item = CommandId> {
        let decided = self.pending.into_iter().flat_map(|pending| match pending.body {
            PendingBody::Commit { command_id, .. } => vec![command_id],
            PendingBody::Barrier { decided } => ids(&decided),
        });
        decided.chain(ids(&self.outcomes))
    }
}

fn ids(decided: &[Decided]) -> Vec<CommandId> {
    decided.iter().map(|decided| decided.command_id).collect()
}
