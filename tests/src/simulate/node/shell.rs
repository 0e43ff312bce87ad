//! One turn of a process in its surroundings: what `engine/shard.rs` does with what it woke up for.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use command_api::engine::{
    SubmitError,
    effect::{Effect, Input, RequestId},
};
use domain::timestamp::Timestamp;
use infra::log::{
    ClaimInfo, ClaimRecord, Nonce, Offset, OutgoingRecord, Ticket, mistake::Mistakes, sample,
};

use super::{
    super::{
        action::{SaveFate, Turn},
        history::{Ask, Reply, Violation},
        outside::Outside,
        partition::Producer,
        plan::{self, Plan},
    },
    disk::Disk,
    process::{Fetch, Process, Request},
};

/// As in the shell.
const TICK: Duration = Duration::from_millis(50);

pub(super) struct Shell<'a> {
    pub(super) index: usize,
    pub(super) room: usize,
    pub(super) claims: &'a mut u64,
    pub(super) clock: Timestamp,
    pub(super) mistakes: Mistakes,
    pub(super) process: &'a mut Process,
    pub(super) disk: &'a mut Disk,
    pub(super) plans: &'a [Plan],
    pub(super) outside: &'a mut Outside,
}

impl Shell<'_> {
    pub(super) fn turn(mut self, turn: Turn) -> Result<(), Violation> {
        let mut effects = Vec::new();
        match turn {
            Turn::Reports { count } => self.take_reports(count, &mut effects),
            Turn::Chunk { count } => self.take_chunk(count, &mut effects),
            Turn::Requests { count } => self.take_requests(count, &mut effects),
            Turn::View => {
                let role = self.outside.role_of(self.index);
                self.step(Input::RoleChanged { role, now: self.clock }, &mut effects);
            }
            Turn::Tick => {
                self.process.tick_at = self.outside.now.plus(TICK);
                self.step(Input::Ticked { now: self.clock }, &mut effects);
            }
            Turn::SaveBegin => {}
            Turn::SaveEnd { fate } => self.end_save(fate),
        }
        self.step(Input::Drained { now: self.clock }, &mut effects);
        while !effects.is_empty() {
            let mut more = Vec::new();
            for effect in effects {
                self.run(effect, &mut more)?;
            }
            effects = more;
        }
        if self.process.machine.take_store_failure().is_some() {
            self.start_over()?;
        }
        if turn == Turn::SaveBegin {
            self.begin_save();
        }
        self.publish();
        Ok(())
    }

    fn begin_save(&mut self) {
        let Process { machine, saving, saved_seq, .. } = self.process;
        if saving.is_some() {
            return;
        }
        *saved_seq = machine.status().seq;
        let Some(batch) = machine.take_unsaved() else { return };
        self.outside.journal.note(|| format!("  saves up to commit {}", batch.checkpoint.last_seq));
        *saving = Some(Arc::new(batch));
    }

    /// A batch that could not be written is written again, for as long as that takes.
    fn end_save(&mut self, fate: SaveFate) {
        let Process { machine, saving, .. } = self.process;
        let Some(batch) = saving else { return };
        let written = match fate {
            SaveFate::Written | SaveFate::WrittenReportedFailed => self.disk.write(batch).ok(),
            SaveFate::Fails => None,
        };
        if let Some(written) = written.filter(|_| fate == SaveFate::Written) {
            machine.saved(&written);
            *saving = None;
        }
    }

    /// The store cannot be read: it is thrown away with all that was made of it.
    fn start_over(&mut self) -> Result<(), Violation> {
        let Self { process, disk, outside, index, .. } = self;
        outside.journal.note(|| format!("  n{index} cannot read its store, and starts over"));
        let waits = |op: usize| process.requests.iter().any(|request| request.op() == op);
        let taken = outside.history.open().filter(|(op, at)| at.node == *index && !waits(*op));
        let taken: Vec<(usize, Ask)> = taken.map(|(op, at)| (op, at.ask)).collect();
        for (op, ask) in taken {
            let unknown = match ask {
                Ask::Submit { .. } => Reply::Submitted(Err(SubmitError::Unknown)),
                Ask::Read { .. } => Reply::Read(Err(SubmitError::Unknown)),
            };
            outside.history.tell(op, unknown, outside.partition.end())?;
        }
        disk.discard();
        process.machine = disk.open(self.mistakes);
        (process.saving, process.saved_seq) = (None, 0);
        process.fetch = None;
        self.drop_writer();
        Ok(())
    }

    fn step(&mut self, input: Input, effects: &mut Vec<Effect>) {
        self.process.machine.step(input, effects);
    }

    fn take_reports(&mut self, count: usize, effects: &mut Vec<Effect>) {
        for _ in 0..count {
            let next = self.process.writer.as_mut().and_then(|writer| writer.reports.pop_front());
            let Some(report) = next else { break };
            self.outside.journal.note(|| {
                let Ticket { epoch, seq, index } = report.ticket;
                format!("  report of {epoch}/{seq}.{index}: {:?}", report.result)
            });
            self.step(Input::Heard { now: self.clock }, effects);
            self.step(Input::Reported { report }, effects);
        }
    }

    fn take_chunk(&mut self, count: usize, effects: &mut Vec<Effect>) {
        let Some(Fetch { next: from, to }) = self.process.fetch else { return };
        let end = to.unwrap_or(Offset::MAX);
        let records = self.outside.partition.read(from, end, count);
        let next = from + Offset::try_from(records.len()).unwrap_or_default();
        self.process.fetch = (next < end).then_some(Fetch { next, to });
        self.outside.journal.note(|| format!("  reads {from}..{next}"));
        self.step(Input::Fetched { records }, effects);
    }

    fn take_requests(&mut self, count: usize, effects: &mut Vec<Effect>) {
        for _ in 0..count {
            let Some(request) = self.process.requests.pop_front() else { break };
            let now = self.clock;
            let id = RequestId(u64::try_from(request.op()).unwrap_or(u64::MAX));
            let input = match request {
                Request::Submit { plan, .. } => {
                    let submission = self.plans[plan].submission();
                    Input::Submitted { request: id, submission, now }
                }
                Request::Read { .. } => Input::Asked { request: id, now },
            };
            self.step(input, effects);
        }
    }

    /// The confirmed state, or why there is none.
    fn show(
        &mut self,
        request: RequestId,
        result: Result<(), SubmitError>,
    ) -> Result<(), Violation> {
        let op = usize::try_from(request.0).unwrap_or(usize::MAX);
        let Some(Ask::Read { stream }) = self.outside.history.ops.get(op).map(|op| op.ask) else {
            return Err(Violation::new("one reply", format!("op {op} is no read")));
        };
        let read = result.and_then(|()| self.process.machine.snapshot(&plan::stream(stream)));
        self.outside.journal.note(|| match &read {
            Ok(snapshot) => format!("  op {op} is shown stream {stream} at {}", snapshot.revision),
            Err(error) => format!("  op {op} is told: {error}"),
        });
        self.outside.history.tell(op, Reply::Read(read), self.outside.partition.end())
    }

    fn claim(&mut self, more: &mut Vec<Effect>) {
        *self.claims += 1;
        let info = ClaimInfo {
            node: format!("n{}", self.index),
            started_at: self.clock,
            ..sample::info()
        };
        self.process.writer = Some(Producer::default());
        let claim = ClaimRecord { nonce: nonce(self.index, *self.claims), info };
        self.step(Input::ClaimReady { claim, now: self.clock }, more);
    }

    fn run(&mut self, effect: Effect, more: &mut Vec<Effect>) -> Result<(), Violation> {
        match effect {
            Effect::Reply { request, result } => {
                let op = usize::try_from(request.0).unwrap_or(usize::MAX);
                self.outside.note_reply(op, &result, self.plans);
                let end = self.outside.partition.end();
                self.outside.history.tell(op, Reply::Submitted(result), end)?;
            }
            // The simulator's clients wait for as long as it takes.
            Effect::Joined { .. } => {}
            Effect::ReplyRead { request, result } => self.show(request, result)?,
            Effect::Append { records } => self.append(records, more),
            Effect::Read { from, to } => self.process.fetch = Some(Fetch { next: from, to }),
            Effect::StopReading => self.process.fetch = None,
            Effect::Claim { .. } => self.claim(more),
            Effect::LetGo => self.drop_writer(),
            Effect::GiveUp { reason } => {
                let index = self.index;
                self.outside.journal.note(|| format!("  n{index} gives up: {reason:?}"));
                self.drop_writer();
            }
            Effect::Unreadable { stream, detail } | Effect::NotReadable { stream, detail } => {
                return Err(Violation::new("readable", format!("{stream}: {detail}")));
            }
            // Nobody listens here, or measures.
            Effect::Emitted { .. } | Effect::Grouped { .. } => {}
            Effect::Halt { reason } => return Err(Violation::new("no halt", reason)),
        }
        Ok(())
    }

    fn drop_writer(&mut self) {
        if let Some(writer) = self.process.writer.take() {
            writer.close(&mut self.outside.partition);
        }
    }

    fn append(&mut self, mut records: VecDeque<(OutgoingRecord, Ticket)>, more: &mut Vec<Effect>) {
        // Without a writer its epoch has ended, and these records are void.
        let Some(writer) = &mut self.process.writer else { return };
        while let Some(record) = records.front() {
            if writer.failed {
                return self.step(Input::AppendFailed, more);
            }
            if !writer.has_room(self.room) {
                return self.step(Input::QueueFull { records }, more);
            }
            writer.wire.push_back(record.clone());
            records.pop_front();
        }
    }

    fn publish(&mut self) {
        let serving = self.process.machine.is_serving();
        if serving && !self.process.was_serving {
            let status = self.process.machine.status();
            let index = self.index;
            self.outside.journal.note(|| {
                format!("  n{index} serves: epoch {}, after commit {}", status.epoch, status.seq)
            });
        }
        self.process.was_serving = serving;
    }
}

/// As spread out as what chance would draw, and as unique.
fn nonce(node: usize, claims: u64) -> Nonce {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let node = u64::try_from(node).unwrap_or_default();
    Nonce(((claims << 8) | node).wrapping_mul(ODD))
}
