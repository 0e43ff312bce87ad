//! A partition, and everything that can happen to a record on its way there.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use domain::{
    addressed::Addressed,
    id::{CommandId, OrderId, ReservationId, Sku, StreamId},
    shard::ShardId,
    stock::{self, Stock},
    timestamp::Timestamp,
};
use infra::log::{
    Checkpoint, ClaimInfo, ClaimRecord, Commit, CommitBody, DeliveryError, LogRecord, Nonce,
    OutgoingRecord, Reader, Report, RequestHash, Stepped, Ticket,
};
use uuid::Uuid;

use super::super::{
    super::{
        Answer, Outcome, Submission, SubmitError,
        effect::{Effect, Input, RequestId, Role, TakeOverReason},
        store::{Batch, MemoryStore, StateStore},
    },
    Machine,
};

pub(super) struct World {
    pub(super) machine: Machine,
    pub(super) partition: Vec<LogRecord>,
    /// Appended by the current writer, with no fate yet.
    pub(super) wire: VecDeque<(OutgoingRecord, Ticket)>,
    /// Records that the current writer takes before it must have reported some.
    pub(super) room: usize,
    /// Of writers that are gone: they may still land.
    pub(super) ghosts: Vec<OutgoingRecord>,
    pub(super) replies: Vec<(u64, Result<Answer, SubmitError>)>,
    pub(super) reads: Vec<(u64, Result<(), SubmitError>)>,
    pub(super) take_overs: Vec<TakeOverReason>,
    pub(super) let_gos: u32,
    /// What commands were refused for because nobody could have read it.
    pub(super) not_readable: Vec<StreamId>,
    /// What a listener is told.
    pub(super) told: Vec<(Commit, Checkpoint)>,
    /// What is to be read never comes.
    pub(super) reading_hangs: bool,
    /// From where on the log is read.
    reading: Option<usize>,
    pub(super) now: Timestamp,
    requests: u64,
    claims: u64,
    store: Arc<MemoryStore>,
    unsaved: Option<Batch>,
}

impl World {
    /// A machine that has claimed an empty partition and serves.
    pub(super) fn serving() -> Self {
        let mut world = Self::over(Vec::new());
        world.claim();
        assert!(world.machine.is_serving());
        world
    }

    /// The next process on the partition of this one; it has not claimed it yet.
    pub(super) fn after(other: &Self) -> Self {
        Self::over(other.partition.clone())
    }

    fn over(partition: Vec<LogRecord>) -> Self {
        let store = Arc::new(MemoryStore::default());
        let mut world = Self {
            machine: Machine::new(ShardId::new(0), store.clone(), 0),
            store,
            unsaved: None,
            claims: u64::try_from(partition.len()).expect("a small test"),
            partition,
            wire: VecDeque::new(),
            room: usize::MAX,
            ghosts: Vec::new(),
            replies: Vec::new(),
            reads: Vec::new(),
            take_overs: Vec::new(),
            let_gos: 0,
            not_readable: Vec::new(),
            told: Vec::new(),
            reading_hangs: false,
            reading: None,
            now: Timestamp::from_micros(1_000_000),
            requests: 0,
        };
        world.change_role(Role::Owner);
        world
    }

    /// The machine's next claim is sent when it is due, lands and is reported.
    pub(super) fn claim(&mut self) {
        self.send_claim();
        self.deliver();
    }

    pub(super) fn send_claim(&mut self) {
        let due = self.machine.wakes_at().expect("a claim that is due");
        self.pass(due.since(self.now));
    }

    pub(super) fn appoint(&mut self) {
        self.change_role(Role::Owner);
    }

    pub(super) fn resign(&mut self) {
        self.change_role(Role::Standby);
        self.drain();
    }

    fn change_role(&mut self, role: Role) {
        self.step(Input::RoleChanged { role, now: self.now });
    }

    /// What is read of the log comes.
    pub(super) fn follow(&mut self) {
        let Some(from) = self.reading.filter(|_| !self.reading_hangs) else { return };
        let records = self.partition[from..].to_vec();
        self.reading = Some(self.partition.len());
        self.step(Input::Fetched { records });
    }

    /// Takes a batch, or writes the one that was taken before.
    pub(super) fn save(&mut self) {
        match self.unsaved.take() {
            Some(batch) => self.machine.saved(&self.store.write(&batch).unwrap()),
            None => self.unsaved = self.machine.take_unsaved(),
        }
    }

    /// The process dies, and the next one goes on from what was saved. It has not claimed yet.
    pub(super) fn crash(&mut self) {
        (self.unsaved, self.machine) = (None, Machine::new(ShardId::new(0), self.store.clone(), 0));
        self.drop_writer();
        self.reading = None;
        self.appoint();
    }

    /// Another writer claims.
    pub(super) fn foreign_claim(&mut self) {
        self.land(OutgoingRecord::Claim(claim(Nonce(1_000 + self.claims))));
    }

    pub(super) fn submit(&mut self, key: u128, command: stock::Command) -> u64 {
        self.submit_as(key, command, None, b"same")
    }

    pub(super) fn submit_as(
        &mut self,
        key: u128,
        command: stock::Command,
        expected_revision: Option<u64>,
        request: &[u8],
    ) -> u64 {
        let hash = RequestHash::of(&[request]);
        let precondition = expected_revision.into();
        self.send(Submission { precondition, request_hash: hash, ..submission(key, command) })
    }

    pub(super) fn send(&mut self, submission: Submission) -> u64 {
        self.requests += 1;
        let (request, submission) = (RequestId(self.requests), Arc::new(submission));
        self.step(Input::Submitted { request, submission, now: self.now });
        self.requests
    }

    pub(super) fn ask(&mut self) -> u64 {
        self.requests += 1;
        self.step(Input::Asked { request: RequestId(self.requests), now: self.now });
        self.requests
    }

    /// What a read was told, which happens once.
    pub(super) fn read(&self, request: u64) -> Option<Result<(), SubmitError>> {
        let mut found = self.reads.iter().filter(|(id, _)| *id == request);
        let result = found.next().map(|(_, result)| *result);
        assert!(found.next().is_none(), "read {request} was answered twice");
        result
    }

    /// Who waits for what is read gets it; who only follows reads it later.
    pub(super) fn drain(&mut self) {
        self.step(Input::Drained { now: self.now });
        if !self.machine.is_idle() && self.machine.follows() {
            self.follow();
        }
    }

    /// The clock is set back; no time has passed.
    pub(super) fn set_back(&mut self, by: Duration) {
        self.now = self.now.minus(by);
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now = self.now.plus(time);
        self.step(Input::Ticked { now: self.now });
        self.drain();
    }

    /// The oldest record on the wire lands and is reported.
    pub(super) fn deliver(&mut self) {
        let (record, ticket) = self.wire.pop_front().expect("a record on the wire");
        let offset = self.land(record);
        self.report(ticket, Ok(Some(offset)));
    }

    pub(super) fn deliver_all(&mut self) {
        self.drain();
        while !self.wire.is_empty() {
            self.deliver();
            self.drain();
        }
    }

    /// The oldest record lands, but is reported as failed.
    pub(super) fn deliver_unreported(&mut self) {
        let (record, ticket) = self.wire.pop_front().expect("a record on the wire");
        self.land(record);
        self.report(ticket, Err(failed()));
    }

    /// The oldest record is lost, and reported so.
    pub(super) fn lose(&mut self) {
        let (_, ticket) = self.wire.pop_front().expect("a record on the wire");
        self.report(ticket, Err(failed()));
    }

    pub(super) fn report(&mut self, ticket: Ticket, result: Result<Option<i64>, DeliveryError>) {
        self.step(Input::Heard { now: self.now });
        self.step(Input::Reported { report: Report { ticket, result } });
        self.drain();
    }

    pub(super) fn land(&mut self, record: OutgoingRecord) -> i64 {
        let offset = i64::try_from(self.partition.len()).expect("a small test");
        self.partition.push(record.at(offset));
        offset
    }

    /// The answer to a request, which comes once.
    pub(super) fn reply(&self, request: u64) -> Option<&Result<Answer, SubmitError>> {
        let mut found = self.replies.iter().filter(|(id, _)| *id == request);
        let reply = found.next().map(|(_, result)| result);
        assert!(found.next().is_none(), "request {request} was answered twice");
        reply
    }

    #[track_caller]
    pub(super) fn committed_at(&self, request: u64) -> u64 {
        match self.reply(request) {
            Some(Ok(Answer { outcome: Outcome::Committed { revision, .. }, .. })) => *revision,
            other => panic!("request {request} should be committed: {other:?}"),
        }
    }

    #[track_caller]
    pub(super) fn rejected_with(&self, request: u64) -> u16 {
        match self.reply(request) {
            Some(Ok(Answer { outcome: Outcome::Rejected { status, .. }, .. })) => *status,
            other => panic!("request {request} should be rejected: {other:?}"),
        }
    }

    /// What a reader that knows nothing of this machine makes of the partition: the command ids
    /// of its commits, in order.
    pub(super) fn audit(&self) -> Vec<u128> {
        let mut reader = Reader::start();
        let mut seen = Vec::new();
        for record in &self.partition {
            if let Ok(Stepped::Commit(commit)) = reader.step(record.clone()) {
                match commit.body {
                    CommitBody::Events(events) => seen
                        .extend(events.first().map(|e| e.provenance.command_id.uuid().as_u128())),
                    CommitBody::Barrier(barrier) => {
                        seen.extend(barrier.outcomes.iter().map(|o| o.command_id.uuid().as_u128()))
                    }
                }
            }
        }
        seen
    }

    fn drop_writer(&mut self) {
        self.ghosts.extend(self.wire.drain(..).map(|(record, _)| record));
    }

    pub(super) fn step(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.machine.step(input, &mut effects);
        for effect in effects {
            match effect {
                Effect::Reply { request, result } => self.replies.push((request.0, result)),
                Effect::Joined { .. } | Effect::Grouped { .. } => {}
                Effect::Emitted { commit, checkpoint } => self.told.push((commit, checkpoint)),
                Effect::ReplyRead { request, result } => self.reads.push((request.0, result)),
                Effect::Claim { .. } => {
                    self.claims += 1;
                    let claim = claim(Nonce(self.claims));
                    self.step(Input::ClaimReady { claim, now: self.now });
                }
                Effect::Append { mut records } => {
                    let room = self.room.saturating_sub(self.wire.len()).min(records.len());
                    self.wire.extend(records.drain(..room));
                    if !records.is_empty() {
                        self.step(Input::QueueFull { records });
                    }
                }
                Effect::GiveUp { reason } => {
                    self.take_overs.push(reason);
                    self.drop_writer();
                }
                Effect::LetGo => {
                    self.let_gos += 1;
                    self.drop_writer();
                }
                Effect::Read { from, .. } => self.reading = Some(usize::try_from(from).unwrap()),
                Effect::StopReading => self.reading = None,
                Effect::Unreadable { stream, detail } => panic!("{stream}: {detail}"),
                Effect::NotReadable { stream, .. } => self.not_readable.push(stream),
                Effect::Halt { reason } => panic!("{reason}"),
            }
        }
    }
}

/// To the stock that all tests are about.
pub(super) fn submission(key: u128, command: stock::Command) -> Submission {
    let addressed = Addressed::to::<Stock>(&sku(), command);
    let submission =
        Submission::new(addressed, CommandId::new(Uuid::from_u128(key)), Arc::from("test"));
    Submission { request_hash: RequestHash::of(&[b"same"]), ..submission }
}

pub(super) fn receive(quantity: u32) -> stock::Command {
    stock::Command::receive(quantity)
}

pub(super) fn adjust(delta: i64) -> stock::Command {
    stock::Command::adjust(delta, "count".to_owned())
}

pub(super) fn reserve(quantity: u32) -> stock::Command {
    reserve_as(77, quantity)
}

pub(super) fn reserve_as(id: u128, quantity: u32) -> stock::Command {
    let id = Uuid::from_u128(id);
    stock::Command::reserve(ReservationId::new(id), OrderId::new(id), quantity)
}

fn sku() -> Sku {
    "A-1".parse().expect("a SKU")
}

pub(super) fn stream() -> StreamId {
    sku().stock_stream()
}

fn claim(nonce: Nonce) -> ClaimRecord {
    let info = ClaimInfo {
        node: "test".to_owned(),
        url: "http://test".to_owned(),
        started_at: Timestamp::default(),
        software: "test".to_owned(),
    };
    ClaimRecord { nonce, info }
}

pub(super) fn failed() -> DeliveryError {
    DeliveryError { reason: "timed out".to_owned() }
}
