//! The machine in a small world: one partition in memory, and deliveries that the test decides.

mod claiming;
mod doubt;
mod history;
mod reads;
mod saving;
mod serving;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use domain::{
    addressed::Addressed,
    id::{CommandId, OrderId, ReservationId, Sku, StreamId},
    shard::ShardId,
    stock::{self, Stock},
    timestamp::Timestamp,
};
use infra::log::{
    CommitBody, DeliveryError, LogRecord, Nonce, OutgoingRecord, Reader, Report, RequestHash,
    Stepped, Ticket, sample,
};
use uuid::Uuid;

use super::{
    super::{
        Answer, Outcome, Submission, SubmitError,
        effect::{Effect, Input, RequestId, Role, TakeOverReason},
        store::{Batch, MemoryStore, StateStore},
    },
    Machine,
};

/// A partition, and everything that can happen to a record on its way there.
struct World {
    machine: Machine,
    partition: Vec<LogRecord>,
    /// Appended by the current writer, with no fate yet.
    wire: VecDeque<(OutgoingRecord, Ticket)>,
    /// Records that the current writer takes before it must have reported some.
    room: usize,
    /// Of writers that are gone: they may still land.
    ghosts: Vec<OutgoingRecord>,
    replies: Vec<(u64, Result<Answer, SubmitError>)>,
    reads: Vec<(u64, Result<(), SubmitError>)>,
    take_overs: Vec<TakeOverReason>,
    let_gos: u32,
    /// What commands were refused for because nobody could have read it.
    not_readable: Vec<StreamId>,
    /// What is to be read never comes.
    reading_hangs: bool,
    /// From where on the log is read.
    reading: Option<usize>,
    now: Timestamp,
    requests: u64,
    claims: u64,
    store: Arc<MemoryStore>,
    unsaved: Option<Batch>,
}

impl World {
    /// A machine that has claimed an empty partition and serves.
    fn serving() -> Self {
        let mut world = Self::over(Vec::new());
        world.claim();
        assert!(world.machine.is_serving());
        world
    }

    /// A machine that serves, and a command whose record is on the wire.
    fn under_way() -> (Self, u64) {
        let mut world = Self::serving();
        let request = world.submit(1, receive(5));
        world.drain();
        (world, request)
    }

    /// The next process on the partition of this one; it has not claimed it yet.
    fn after(other: &Self) -> Self {
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
            reading_hangs: false,
            reading: None,
            now: Timestamp::from_micros(1_000_000),
            requests: 0,
        };
        world.change_role(Role::Owner);
        world
    }

    /// The machine's next claim is sent when it is due, lands and is reported.
    fn claim(&mut self) {
        self.send_claim();
        self.deliver();
    }

    fn send_claim(&mut self) {
        let due = self.machine.wakes_at().expect("a claim that is due");
        self.pass(due.since(self.now));
    }

    fn appoint(&mut self) {
        self.change_role(Role::Owner);
    }

    fn resign(&mut self) {
        self.change_role(Role::Standby);
        self.drain();
    }

    fn change_role(&mut self, role: Role) {
        self.step(Input::RoleChanged { role, now: self.now });
    }

    /// What is read of the log comes.
    fn follow(&mut self) {
        let Some(from) = self.reading.filter(|_| !self.reading_hangs) else { return };
        let records = self.partition[from..].to_vec();
        self.reading = Some(self.partition.len());
        self.step(Input::Fetched { records });
    }

    /// Takes a batch, or writes the one that was taken before.
    fn save(&mut self) {
        match self.unsaved.take() {
            Some(batch) => self.machine.saved(&self.store.write(&batch).unwrap()),
            None => self.unsaved = self.machine.take_unsaved(),
        }
    }

    /// The process dies, and the next one goes on from what was saved. It has not claimed yet.
    fn crash(&mut self) {
        (self.unsaved, self.machine) = (None, Machine::new(ShardId::new(0), self.store.clone(), 0));
        self.drop_writer();
        self.reading = None;
        self.appoint();
    }

    /// Another writer claims.
    fn foreign_claim(&mut self) {
        self.land(OutgoingRecord::Claim(sample::claim(Nonce(1_000 + self.claims))));
    }

    fn submit(&mut self, key: u128, command: stock::Command) -> u64 {
        self.submit_as(key, command, None, b"same")
    }

    fn submit_as(
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

    fn send(&mut self, submission: Submission) -> u64 {
        self.requests += 1;
        let (request, submission) = (RequestId(self.requests), Arc::new(submission));
        self.step(Input::Submitted { request, submission, now: self.now });
        self.requests
    }

    fn ask(&mut self) -> u64 {
        self.requests += 1;
        self.step(Input::Asked { request: RequestId(self.requests), now: self.now });
        self.requests
    }

    /// What a read was told, which happens once.
    fn read(&self, request: u64) -> Option<Result<(), SubmitError>> {
        let mut found = self.reads.iter().filter(|(id, _)| *id == request);
        let result = found.next().map(|(_, result)| *result);
        assert!(found.next().is_none(), "read {request} was answered twice");
        result
    }

    /// Who waits for what is read gets it; who only follows reads it later.
    fn drain(&mut self) {
        self.step(Input::Drained { now: self.now });
        if !self.machine.is_idle() && self.machine.follows() {
            self.follow();
        }
    }

    /// The clock is set back; no time has passed.
    fn set_back(&mut self, by: Duration) {
        self.now = self.now.minus(by);
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.plus(time);
        self.step(Input::Ticked { now: self.now });
        self.drain();
    }

    /// Nothing comes for as long as a writer, or what is read, is waited for, and not before.
    #[track_caller]
    fn is_given_up(&mut self) {
        self.pass(Duration::from_millis(4_900));
        assert_eq!(self.take_overs, []);
        self.pass(Duration::from_millis(100));
        assert_eq!(self.take_overs, [TakeOverReason::Watchdog]);
    }

    /// The oldest record on the wire lands and is reported.
    fn deliver(&mut self) {
        let (record, ticket) = self.wire.pop_front().expect("a record on the wire");
        let offset = self.land(record);
        self.report(ticket, Ok(Some(offset)));
    }

    fn deliver_all(&mut self) {
        self.drain();
        while !self.wire.is_empty() {
            self.deliver();
            self.drain();
        }
    }

    /// The oldest record lands, but is reported as failed.
    fn deliver_unreported(&mut self) {
        let (record, ticket) = self.wire.pop_front().expect("a record on the wire");
        self.land(record);
        self.report(ticket, Err(failed()));
    }

    /// The oldest record is reported lost. It may land all the same, later.
    fn lose(&mut self) -> OutgoingRecord {
        let (record, ticket) = self.wire.pop_front().expect("a record on the wire");
        self.report(ticket, Err(failed()));
        record
    }

    fn report(&mut self, ticket: Ticket, result: Result<Option<i64>, DeliveryError>) {
        self.step(Input::Heard { now: self.now });
        self.step(Input::Reported { report: Report { ticket, result } });
        self.drain();
    }

    fn land(&mut self, record: OutgoingRecord) -> i64 {
        let offset = i64::try_from(self.partition.len()).expect("a small test");
        self.partition.push(record.at(offset));
        offset
    }

    /// The answer to a request, which comes once.
    fn reply(&self, request: u64) -> Option<&Result<Answer, SubmitError>> {
        let mut found = self.replies.iter().filter(|(id, _)| *id == request);
        let reply = found.next().map(|(_, result)| result);
        assert!(found.next().is_none(), "request {request} was answered twice");
        reply
    }

    #[track_caller]
    fn committed_at(&self, request: u64) -> u64 {
        match self.reply(request) {
            Some(Ok(Answer { outcome: Outcome::Committed { revision, .. }, .. })) => *revision,
            other => panic!("request {request} should be committed: {other:?}"),
        }
    }

    #[track_caller]
    fn rejected_with(&self, request: u64) -> u16 {
        match self.reply(request) {
            Some(Ok(Answer { outcome: Outcome::Rejected { status, .. }, .. })) => *status,
            other => panic!("request {request} should be rejected: {other:?}"),
        }
    }

    /// What a reader that knows nothing of this machine makes of the partition: the command ids
    /// of its commits, in order.
    fn audit(&self) -> Vec<u128> {
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

    fn step(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.machine.step(input, &mut effects);
        for effect in effects {
            match effect {
                Effect::Reply { request, result } => self.replies.push((request.0, result)),
                Effect::Joined { .. } | Effect::Grouped { .. } | Effect::Emitted { .. } => {}
                Effect::ReplyRead { request, result } => self.reads.push((request.0, result)),
                Effect::Claim { .. } => {
                    self.claims += 1;
                    let claim = sample::claim(Nonce(self.claims));
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
fn submission(key: u128, command: stock::Command) -> Submission {
    let addressed = Addressed::to::<Stock>(&sku(), command);
    let submission =
        Submission::new(addressed, CommandId::new(Uuid::from_u128(key)), Arc::from("test"));
    Submission { request_hash: RequestHash::of(&[b"same"]), ..submission }
}

fn receive(quantity: u32) -> stock::Command {
    stock::Command::receive(quantity)
}

fn adjust(delta: i64) -> stock::Command {
    stock::Command::adjust(delta, "count".to_owned())
}

fn reserve(quantity: u32) -> stock::Command {
    reserve_as(77, quantity)
}

fn reserve_as(id: u128, quantity: u32) -> stock::Command {
    let id = Uuid::from_u128(id);
    stock::Command::reserve(ReservationId::new(id), OrderId::new(id), quantity)
}

fn sku() -> Sku {
    "A-1".parse().expect("a SKU")
}

fn stream() -> StreamId {
    sku().stock_stream()
}

fn failed() -> DeliveryError {
    DeliveryError { reason: "timed out".to_owned() }
}
