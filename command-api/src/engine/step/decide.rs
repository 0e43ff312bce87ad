//! A command arrives: answered from memory if it is known, otherwise decided on the newest state,
//! ahead of the log.

use std::sync::Arc;

use domain::{
    Event, State, StreamType,
    envelope::{Provenance, Revision},
    id::{CommandId, EventId},
    timestamp::Timestamp,
};
use infra::{
    codec::{self, NotReadable},
    http::trace::TraceContext,
    log::{OutgoingRecord, mistake::Mistake, record::EventRecord},
    telemetry::chain,
};

use super::{
    super::{
        Outcome, PROCESS_ACTORS, Submission, SubmitError,
        batch::{Batch, Decided},
        effect::{Effect, RequestId, Role},
    },
    COMMANDS_PENDING_MAX, Machine, Mode, Waiter, Waiting,
};

/// One of so many records is read back of those that follow from others.
const SAMPLED_OF: u8 = 16;

/// What a decision came to.
enum Verdict {
    /// Events, and the revision of the stream before them.
    Events(Vec<Event>, Revision),
    Outcome(Outcome),
}

impl Machine {
    pub(super) fn submitted(
        &mut self,
        request: RequestId,
        submission: Arc<Submission>,
        effects: &mut Vec<Effect>,
    ) {
        let command_id = submission.command_id;
        let known = match self.dedup.get(command_id, self.now) {
            Ok(known) => known,
            Err(why) => {
                effects.push(Effect::Reply { request, result: Err(why.into()) });
                return;
            }
        };
        if let Some(known) = known {
            let same = known.request_hash == submission.request_hash;
            let result = if same || self.mistakes.has(Mistake::RequestHashIgnored) {
                Ok(self.answer(known.outcome.clone(), true, known.next_offset))
            } else {
                Err(SubmitError::KeyReused)
            };
            effects.push(Effect::Reply { request, result });
            return;
        }
        if let Some(waiting) = self.commands.get_mut(&command_id) {
            if waiting.submission.request_hash == submission.request_hash {
                waiting.waiters.push(Waiter { request, replayed: true });
                effects.push(Effect::Joined { request });
            } else {
                effects.push(Effect::Reply { request, result: Err(SubmitError::KeyReused) });
            }
            return;
        }
        if self.role != Role::Owner {
            effects.push(Effect::Reply { request, result: Err(SubmitError::NotOwner) });
            return;
        }
        let is_full = self.commands.len() >= COMMANDS_PENDING_MAX;
        if is_full || self.is_stalled() || self.is_saturated() {
            effects.push(Effect::Reply { request, result: Err(SubmitError::Busy) });
            return;
        }
        let waiters = vec![Waiter { request, replayed: false }];
        self.commands.insert(command_id, Waiting { submission, waiters, decided_in: None });
        self.undecided.push_back(command_id);
        self.decide_undecided(effects);
    }

    /// Whether a command has been decided under this id and is remembered, or is about to be.
    ///
    /// # Errors
    /// That cannot be told here, or not now.
    pub fn knows(&mut self, command_id: CommandId, now: Timestamp) -> Result<bool, SubmitError> {
        self.advance(now);
        let decided = self.dedup.get(command_id, self.now)?.is_some();
        if decided || self.commands.contains_key(&command_id) {
            return Ok(true);
        }
        // Before it serves, a machine may not have seen all of the log.
        if self.is_serving() { Ok(false) } else { Err(SubmitError::NotOwner) }
    }

    /// Decides what waits, in order, if this is the time for it.
    pub(super) fn decide_undecided(&mut self, effects: &mut Vec<Effect>) {
        while self.is_serving() {
            let Some(command_id) = self.undecided.pop_front() else { return };
            // What a replay has answered is no longer among the commands.
            self.decide(command_id, effects);
        }
    }

    fn decide(&mut self, command_id: CommandId, effects: &mut Vec<Effect>) {
        let Mode::Serving(serving) = &mut self.mode else { return };
        let batch = &mut serving.batch;
        let Some(waiting) = self.commands.get_mut(&command_id) else { return };
        waiting.decided_in = Some(self.reader.epoch());
        let submission = &*waiting.submission;
        let (stream, now, mistakes) = (&submission.stream, self.now, self.mistakes);
        let reads_back = self.reads_all_back || is_read_back(submission);
        let decide = |state: &State, revision| {
            let precondition = &submission.precondition;
            if !precondition.holds(revision) && !mistakes.has(Mistake::IfMatchIgnored) {
                return Verdict::Outcome(Outcome::revision_mismatch(precondition, revision));
            }
            match state.decide(&submission.command, now) {
                Ok(events) if events.is_empty() => {
                    Verdict::Outcome(Outcome::Unchanged { revision })
                }
                Ok(events) => Verdict::Events(events, revision),
                Err(rejection) => Verdict::Outcome(Outcome::rejected(&rejection)),
            }
        };
        let verdict = if mistakes.has(Mistake::DecidedOnConfirmed) {
            self.streams.confirmed(stream).map(|found| decide(&found.state, found.revision))
        } else {
            self.streams.decide(stream, decide)
        };
        match verdict {
            Ok(Verdict::Events(events, revision)) => {
                match records(&events, submission, batch, (revision, now), reads_back) {
                    Ok(records) => {
                        self.streams.speculate(stream, batch.next_seq(), &events);
                        batch.add_commit(command_id, stream.clone(), events, records);
                    }
                    Err(why) => {
                        let (stream, detail) = (stream.clone(), chain(&why).to_string());
                        effects.push(Effect::NotReadable { stream, detail });
                        let request_hash = submission.request_hash;
                        let outcome = Outcome::not_readable();
                        batch.add_outcome(Decided { command_id, request_hash, outcome }, now);
                    }
                }
            }
            Ok(Verdict::Outcome(outcome)) => {
                let request_hash = submission.request_hash;
                batch.add_outcome(Decided { command_id, request_hash, outcome }, now);
            }
            Err(why) => self.refuse(command_id, why.into(), effects),
        }
        #[cfg(feature = "simulation")]
        self.answer_by_mistake(command_id, effects);
    }
}

/// Whether what comes of a command is read back. What strangers wrote always is, payment providers
/// included; what a process makes of an event has its values from there, so a sample of it will do: all
/// of it would cost a tenth of the commands that a busy machine does.
fn is_read_back(submission: &Submission) -> bool {
    let Submission { command_id, stream, actor, .. } = submission;
    let [.., last] = *command_id.uuid().as_bytes();
    !actor.starts_with(PROCESS_ACTORS)
        || stream.stream_type() == Some(StreamType::Payment)
        || last.is_multiple_of(SAMPLED_OF)
}

/// What the events become in the log, read back before anybody sees them.
fn records(
    events: &[Event],
    submission: &Submission,
    batch: &Batch,
    (revision, now): (Revision, Timestamp),
    reads_back: bool,
) -> Result<Vec<OutgoingRecord>, NotReadable> {
    let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
    let records = events.iter().zip(0..).map(|(event, index)| {
        let (event_type, value) = codec::encode(event);
        let record = EventRecord {
            place: batch.place(index, count),
            id: event_id(submission.command_id, index),
            event_type,
            stream: submission.stream.clone(),
            revision: revision + 1 + u64::from(index),
            recorded_at: now,
            provenance: provenance(submission),
            request_hash: (index == 0).then_some(submission.request_hash),
            value,
        };
        if reads_back {
            codec::read_back(&record, event)?;
        }
        Ok(OutgoingRecord::Event(Box::new(record)))
    });
    records.collect()
}

/// The same command gives the same event ids, whoever decides it.
pub(super) fn event_id(command_id: CommandId, index: u32) -> EventId {
    EventId::new(command_id.derive(&index.to_string()))
}

fn provenance(submission: &Submission) -> Provenance {
    Provenance {
        command_id: submission.command_id,
        correlation_id: submission.correlation_id,
        causation_id: submission.causation_id,
        actor: submission.actor.clone(),
        // It is of use to whom finds the trace where it was recorded.
        traceparent: submission.traceparent.clone().filter(|it| TraceContext::is_sampled(it)),
    }
}
