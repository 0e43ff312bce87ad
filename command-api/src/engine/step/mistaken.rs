//! Mistakes that take more than a branch where the rule is kept. Only the simulator plants them.

use std::collections::VecDeque;

use domain::{
    State,
    id::{CommandId, StreamId},
    timestamp::Timestamp,
};
use infra::{
    codec,
    log::{
        ClaimInfo, ClaimRecord, Commit, CommitBody, DeliveryError, LogRecord, Nonce, Offset,
        OutgoingRecord, Reader, Report, Ticket,
        mistake::{Mistake, Mistakes},
        record::Body,
    },
};

use super::{
    super::{
        EventRef, Outcome, Snapshot, SubmitError,
        batch::{Decided, Pending, PendingBody},
        effect::Effect,
        store::Known,
        store::{Batch, Size, Unread, Written},
    },
    Machine, Mode, Serving,
    decide::event_id,
};

/// What an ended epoch leaves behind by mistake.
#[derive(Default)]
pub(super) struct Kept {
    outcomes: Vec<Decided>,
    commits: VecDeque<(u64, CommandId)>,
}

impl Machine {
    /// A machine that breaks a rule.
    #[must_use]
    pub fn with_mistakes(mut self, mistakes: Mistakes) -> Self {
        self.mistakes = mistakes;
        self.reader = Reader::resume(self.saved_up_to).with_mistakes(mistakes);
        self
    }

    pub(super) fn newest(&mut self, stream: &StreamId) -> Result<Snapshot, SubmitError> {
        let newest = |state: &State, revision| Snapshot { state: state.clone(), revision };
        Ok(self.streams.decide(stream, newest)?)
    }

    pub(super) fn serve_by_mistake(&mut self, nonce: Nonce, effects: &mut Vec<Effect>) {
        if !self.mistakes.has(Mistake::ServedBeforeClaimReport) {
            return;
        }
        let epoch = self.reader.next_offset();
        let nobody = String::new;
        let info =
            ClaimInfo { node: nobody(), url: nobody(), started_at: self.now, software: nobody() };
        let body = Body::Claim(ClaimRecord { nonce, info });
        if self.reader.step(LogRecord { offset: epoch, body }).is_ok() {
            self.serve(epoch, nonce, effects);
        }
    }

    pub(super) fn guess_claim_by_mistake(
        &self,
        result: &Result<Option<Offset>, DeliveryError>,
    ) -> Result<Option<Offset>, DeliveryError> {
        match result {
            Ok(None) if self.mistakes.has(Mistake::ClaimOffsetGuessed) => {
                Ok(Some(self.reader.next_offset()))
            }
            other => other.clone(),
        }
    }

    pub(super) fn replay_from_by_mistake(&mut self, epoch: Offset) -> Offset {
        if self.reader.epoch() >= 0 && self.mistakes.has(Mistake::ReplayToOldEnd) {
            self.reader.skip_to(epoch);
        }
        self.reader.next_offset()
    }

    /// What the end of an epoch leaves undone.
    pub(super) fn keep_by_mistake(
        &mut self,
        mut serving: Box<Serving>,
        effects: &mut Vec<Effect>,
    ) -> Box<Serving> {
        let (pending, outcomes) = serving.batch.decided_mut();
        if self.mistakes.has(Mistake::BarrierInFlightCounted) {
            // The same outcome may wait for two barriers; it is decided anew only once.
            let mut seen: Vec<CommandId> = outcomes.iter().map(|d| d.command_id).collect();
            for pending in pending.iter_mut().rev() {
                if let PendingBody::Barrier { decided } = &mut pending.body {
                    decided.retain(|decided| !seen.contains(&decided.command_id));
                    seen.extend(decided.iter().map(|decided| decided.command_id));
                }
            }
        }
        if self.mistakes.has(Mistake::OutcomesKeptOverClaim) {
            self.kept.outcomes = std::mem::take(outcomes);
            for pending in pending.iter_mut() {
                if let PendingBody::Barrier { decided } = &mut pending.body {
                    self.kept.outcomes.append(decided);
                }
            }
        }
        let commits = pending.iter().filter_map(|pending| match pending.body {
            PendingBody::Commit { command_id, .. } => Some((pending.seq, command_id)),
            PendingBody::Barrier { .. } => None,
        });
        let commits: VecDeque<_> = commits.collect();
        for (_, command_id) in &commits {
            if self.mistakes.has(Mistake::WaitersForgotten) {
                self.commands.remove(command_id);
            }
            if self.mistakes.has(Mistake::RefusedAndKept) {
                let waiters = self.commands.get(command_id).into_iter().flat_map(|c| &c.waiters);
                effects.extend(waiters.map(|waiter| Effect::Reply {
                    request: waiter.request,
                    result: Err(SubmitError::NotOwner),
                }));
            }
        }
        if self.mistakes.has(Mistake::ResolvedBySeqAlone) {
            self.kept.commits = commits;
        }
        serving
    }

    pub(super) fn go_on_by_mistake(&mut self) {
        let Mode::Serving(serving) = &mut self.mode else { return };
        for decided in std::mem::take(&mut self.kept.outcomes) {
            if self.commands.contains_key(&decided.command_id) {
                serving.batch.add_outcome(decided, self.now);
            }
        }
        self.kept.commits.clear();
    }

    pub(super) fn resolve_by_mistake(&mut self, commit: &Commit, effects: &mut Vec<Effect>) {
        let CommitBody::Events(records) = &commit.body else { return };
        let Some((_, command_id)) = self.kept.commits.pop_front_if(|(seq, _)| *seq == commit.seq)
        else {
            return;
        };
        let (Some(outcome), Some(waiting)) =
            (Outcome::committed(records), self.commands.get(&command_id))
        else {
            return;
        };
        let request_hash = waiting.submission.request_hash;
        let (next_offset, recorded_at) = (commit.next_offset, self.now);
        self.settle(command_id, Known { request_hash, outcome, next_offset, recorded_at }, effects);
    }

    /// After a decision.
    pub(super) fn answer_by_mistake(&mut self, command_id: CommandId, effects: &mut Vec<Effect>) {
        let next_offset = self.reader.next_offset();
        let Mode::Serving(serving) = &mut self.mode else { return };
        if self.mistakes.has(Mistake::DedupFromSpeculation) {
            let Some(OutgoingRecord::Event(last)) = serving.batch.last_gathered() else { return };
            let (revision, recorded_at) = (last.revision, last.recorded_at);
            let place = (revision, next_offset);
            let Some(known) = self.speculative_commit(command_id, place, recorded_at) else {
                return;
            };
            self.dedup.insert(command_id, known, self.now);
            return;
        }
        let (pending, outcomes) = serving.batch.decided_mut();
        let Some(decided) = outcomes.last().filter(|last| last.command_id == command_id) else {
            return;
        };
        if self.mistakes.has(Mistake::BarrierInFlightCounted) {
            let barriers = pending.iter_mut().filter_map(|pending| match &mut pending.body {
                PendingBody::Barrier { decided } => Some(decided),
                PendingBody::Commit { .. } => None,
            });
            barriers.last().into_iter().for_each(|barrier| barrier.push(decided.clone()));
        }
        if self.mistakes.has(Mistake::RefusalsAnsweredAtOnce)
            && let Some(waiting) = self.commands.get_mut(&command_id)
        {
            let outcome = decided.outcome.clone();
            for waiter in std::mem::take(&mut waiting.waiters) {
                let result = Ok(self.answer(outcome.clone(), waiter.replayed, next_offset));
                effects.push(Effect::Reply { request: waiter.request, result });
            }
        }
    }

    /// After a read came in.
    pub(super) fn prove_by_mistake(&mut self, effects: &mut Vec<Effect>) {
        if self.mistakes.has(Mistake::ReadsUnproven) && self.is_serving() {
            let shown = self.unproven_reads.drain(..);
            effects.extend(shown.map(|request| Effect::ReplyRead { request, result: Ok(()) }));
        }
        let Mode::Serving(serving) = &mut self.mode else { return };
        if let (true, Some(seq)) =
            (self.mistakes.has(Mistake::RecordUnderWayProves), serving.batch.next_settled())
        {
            let requests = self.unproven_reads.drain(..).rev();
            requests.for_each(|request| serving.reads.push_front((seq, request)));
        }
    }

    /// What is made of a report before any rule looks at it; `None` if nothing is left of it.
    pub(super) fn take_by_mistake(
        &mut self,
        mut report: Report,
        effects: &mut Vec<Effect>,
    ) -> Option<Report> {
        let expected = self.reader.next_offset();
        let Mode::Serving(serving) = &mut self.mode else { return Some(report) };
        let in_flight = serving.batch.in_flight_mut();
        if self.mistakes.has(Mistake::FailedAppendIgnored) {
            while in_flight.front().is_some_and(|(_, due)| *due < report.ticket) {
                in_flight.pop_front();
            }
            if report.result.is_err() {
                in_flight.pop_front_if(|(_, due)| *due == report.ticket);
                return None;
            }
        }
        if self.mistakes.has(Mistake::ReportMatchedByPosition) && report.result.is_ok() {
            report.ticket = in_flight.front().map_or(report.ticket, |(_, due)| *due);
        }
        if self.mistakes.has(Mistake::MissingOffsetGuessed) && report.result == Ok(None) {
            report.result = Ok(Some(expected));
        }
        match report.result {
            Ok(Some(offset)) if offset > expected && self.mistakes.has(Mistake::HoleSkipped) => {
                self.reader.skip_to(offset);
            }
            Ok(Some(offset)) if self.mistakes.has(Mistake::AnsweredFromReport) => {
                self.answer_reported(report.ticket, offset, effects);
            }
            Err(_) if self.mistakes.has(Mistake::FailureTakenForAbsence) => {
                self.refuse_reported(report.ticket, effects);
            }
            _ => {}
        }
        Some(report)
    }

    fn answer_reported(&mut self, ticket: Ticket, offset: Offset, effects: &mut Vec<Effect>) {
        let Mode::Serving(serving) = &mut self.mode else { return };
        let in_flight = serving.batch.in_flight_mut();
        let reported = in_flight.iter().find_map(|(record, due)| match record {
            OutgoingRecord::Event(event) if *due == ticket => Some(event),
            _ => None,
        });
        let Some(last) = reported.filter(|event| event.place.index + 1 == event.place.count) else {
            return;
        };
        let (command_id, revision) = (last.provenance.command_id, last.revision);
        let recorded_at = last.recorded_at;
        let place = (revision, offset + 1);
        if let Some(known) = self.speculative_commit(command_id, place, recorded_at) {
            self.settle(command_id, known, effects);
        }
    }

    fn refuse_reported(&mut self, ticket: Ticket, effects: &mut Vec<Effect>) {
        let Mode::Serving(serving) = &mut self.mode else { return };
        let (pending, _) = serving.batch.decided_mut();
        let of_report = |pending: &&Pending| pending.seq == ticket.seq;
        let Some(PendingBody::Commit { command_id, .. }) =
            pending.iter().find(of_report).map(|pending| &pending.body)
        else {
            return;
        };
        let command_id = *command_id;
        self.refuse(command_id, SubmitError::Busy, effects);
    }

    /// What is made of a batch before it is handed out.
    pub(super) fn save_by_mistake(&mut self, mut batch: Batch) -> Batch {
        if self.mistakes.has(Mistake::OutcomesNotSaved) {
            batch.outcomes.clear();
        }
        for changed in &mut batch.states {
            if self.mistakes.has(Mistake::DeadlinesNotSaved) {
                changed.deadline = None;
            }
            if self.mistakes.has(Mistake::SpeculationSaved) {
                changed.snapshot = self.newest(&changed.stream).map_err(|_why| Unread::Unknown);
            }
        }
        if self.mistakes.has(Mistake::ForgottenWhenTaken) {
            let state_bytes = vec![0; batch.states.len()];
            let (unreadable, size) = (Vec::new(), Size::default());
            self.saved(&Written { state_bytes, unreadable, size });
        }
        batch
    }

    /// The outcome of a commit that is not emitted, as if it were at this revision and offset.
    fn speculative_commit(
        &mut self,
        command_id: CommandId,
        (revision, next_offset): (u64, Offset),
        recorded_at: Timestamp,
    ) -> Option<Known> {
        let request_hash = self.commands.get(&command_id)?.submission.request_hash;
        let Mode::Serving(serving) = &mut self.mode else { return None };
        let (pending, _) = serving.batch.decided_mut();
        let (stream, events) = pending.iter().find_map(|pending| match &pending.body {
            PendingBody::Commit { command_id: id, stream, events } if *id == command_id => {
                Some((stream.clone(), events))
            }
            _ => None,
        })?;
        let events = events.iter().zip(0..).map(|(event, index)| EventRef {
            id: event_id(command_id, index),
            event_type: codec::encode(event).0,
        });
        let outcome = Outcome::Committed { stream, revision, events: events.collect() };
        Some(Known { request_hash, outcome, next_offset, recorded_at })
    }
}
