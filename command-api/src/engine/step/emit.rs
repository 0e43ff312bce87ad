//! What is read of the log: what this writer needs to know, or, while another one may write, all of it.
//! Records reach the reader machine; what it emits becomes state, dedup entries and answers.

use infra::log::{
    LogRecord, Offset,
    reader::{Commit, CommitBody, Stepped},
    record::{EventRecord, RequestHash},
};

use super::{
    super::{
        Outcome,
        batch::{Decided, PendingBody},
        effect::{Effect, Role, TakeOverReason},
        store::Known,
    },
    Machine, Mode, Reading,
};

impl Machine {
    /// Who may have to take over soon, or is about to, reads what the owner writes.
    pub(super) fn follow_if_idle(&mut self, effects: &mut Vec<Effect>) {
        if !self.is_idle() {
            return;
        }
        if self.role == Role::Away {
            self.stop_reading(effects);
        } else if self.reading == Reading::Nothing {
            self.reading = Reading::Following;
            effects.push(Effect::Read { from: self.reader.next_offset(), to: None });
        }
    }

    pub(super) fn read_up_to(&mut self, from: Offset, to: Offset, effects: &mut Vec<Effect>) {
        let before = std::mem::replace(&mut self.reading, Reading::UpTo(to));
        // Who follows stands there already, with what has been read ahead.
        if before != Reading::Following {
            effects.push(Effect::Read { from, to: Some(to) });
        }
    }

    /// Leaves what is to be read. What follows it is known by its reports.
    fn cut_off(&mut self, records: &mut Vec<LogRecord>, effects: &mut Vec<Effect>) {
        let Reading::UpTo(to) = self.reading else { return };
        records.retain(|record| record.offset < to);
        if records.last().is_none_or(|last| last.offset + 1 >= to) {
            self.stop_reading(effects);
        }
    }

    pub(super) fn stop_reading(&mut self, effects: &mut Vec<Effect>) {
        if std::mem::replace(&mut self.reading, Reading::Nothing) != Reading::Nothing {
            effects.push(Effect::StopReading);
        }
    }

    pub(super) fn fetched(&mut self, mut records: Vec<LogRecord>, effects: &mut Vec<Effect>) {
        self.cut_off(&mut records, effects);
        for record in records {
            let offset = record.offset;
            if self.feed(record, effects).is_none() {
                return;
            }
            match &self.mode {
                // The own claim would have ended the replay.
                Mode::Replaying { epoch, .. } if offset >= *epoch => {
                    self.take_over(TakeOverReason::ClaimUnknown, effects);
                }
                _ => {}
            }
        }
        self.resume_reports(effects);
    }

    /// One record for the reader machine; `None` if it halted.
    pub(super) fn feed(&mut self, record: LogRecord, effects: &mut Vec<Effect>) -> Option<Stepped> {
        let stepped = match self.reader.step(record) {
            Ok(stepped) => stepped,
            Err(halt) => {
                effects.push(Effect::Halt { reason: halt.to_string() });
                return None;
            }
        };
        match stepped {
            Stepped::Claimed { epoch, ref claim } => self.claim_read(epoch, claim.nonce, effects),
            Stepped::Commit(commit) => {
                self.emitted(commit, effects);
                return Some(Stepped::Partial);
            }
            Stepped::Partial | Stepped::Ignored(_) => {}
        }
        Some(stepped)
    }

    fn emitted(&mut self, commit: Commit, effects: &mut Vec<Effect>) {
        if self.has_listener {
            let (commit, checkpoint) = (commit.clone(), self.reader.checkpoint());
            effects.push(Effect::Emitted { commit, checkpoint });
        }
        let own = match &mut self.mode {
            Mode::Serving(serving) => serving.batch.settle(commit.seq),
            Mode::Idle | Mode::Claiming { .. } | Mode::Replaying { .. } => None,
        };
        if own.is_some() {
            self.release_reads(commit.seq, effects);
        }
        let next_offset = commit.next_offset;
        #[cfg(feature = "simulation")]
        self.resolve_by_mistake(&commit, effects);
        match (own, commit.body) {
            (Some(PendingBody::Commit { stream, events, .. }), CommitBody::Events(records)) => {
                let bytes = records.iter().map(|record| record.value.len()).sum();
                self.streams.confirm(&stream, commit.seq, &events, bytes);
                self.remember_commit(&records, next_offset, effects);
            }
            (_, CommitBody::Events(records)) => {
                self.replay_events(&records, effects);
                self.remember_commit(&records, next_offset, effects);
            }
            (own, CommitBody::Barrier(barrier)) => {
                let decided = match own {
                    Some(PendingBody::Barrier { decided }) => decided,
                    _ => barrier.outcomes.iter().filter_map(Decided::from_record).collect(),
                };
                let recorded_at = barrier.recorded_at;
                for Decided { command_id, request_hash, outcome } in decided {
                    let known = Known { request_hash, outcome, next_offset, recorded_at };
                    self.settle(command_id, known, effects);
                }
            }
        }
    }

    fn replay_events(&mut self, records: &[EventRecord], effects: &mut Vec<Effect>) {
        for record in records {
            if let Err(error) = self.streams.replay_record(record) {
                let (stream, detail) = (record.stream.clone(), error.to_string());
                effects.push(Effect::Unreadable { stream, detail });
            }
        }
    }

    fn remember_commit(
        &mut self,
        records: &[EventRecord],
        next_offset: Offset,
        effects: &mut Vec<Effect>,
    ) {
        let (Some(first), Some(outcome)) = (records.first(), Outcome::committed(records)) else {
            return;
        };
        // Only a foreign writer leaves the hash out; then no request can be told from another.
        let request_hash = first.request_hash.unwrap_or(RequestHash([0; 16]));
        let command_id = first.provenance.command_id;
        let recorded_at = first.recorded_at;
        self.settle(command_id, Known { request_hash, outcome, next_offset, recorded_at }, effects);
    }
}
