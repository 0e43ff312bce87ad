//! An engine, and a process manager that follows no log: the test says what it reads, and what it knows
//! of that.

use std::sync::Arc;

use domain::{
    Listed,
    addressed::Addressed,
    cart::{Checkout, Line},
    envelope::Recorded,
    id::{CommandId, OrderId, Sku, StepId, StreamId},
    order::Order,
    process::{self, Failure, Process, Taken},
    stock::{self, Stock},
    testing::{self, fold},
};
use infra::{
    clock::{Clock, ManualClock},
    codec,
    log::{EventLog, EventRecord, memory::MemoryLog, progress::Progress, sample},
    task::Task,
};
use serde_json::json;
use tokio::time::{Duration, Instant};
use uuid::Uuid;

use crate::{
    engine::{Consistency, Outcome, Stores, Submission, testing::Running},
    payment::{Desk, Sandbox},
    process::{
        Managers,
        checkout::{CheckoutProcess, reservation},
        parked::Delivered,
        permits::Permits,
        verdicts::Verdicts,
    },
    testing::{EVENT, moving_clock},
};

pub(super) const ORDER: OrderId = OrderId::new(Uuid::from_u128(2));

pub(super) struct Rig {
    managers: Managers,
    pub(super) clock: ManualClock,
    _running: Running,
    _time: Task<()>,
}

impl Rig {
    pub(super) fn start() -> Self {
        let (manual, time) = moving_clock();
        let clock = Clock::from(manual.clone());
        let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(4));
        let running = Running::alone(&log, &clock, &Stores::in_memory());
        let engine = running.engine.clone();
        let desk = Desk::new(Arc::new(Sandbox::new(clock.clone())), 8);
        let progress = Progress::in_memory();
        let managers = Managers { engine, log, progress, desk, clock };
        Self { managers, clock: manual, _running: running, _time: time }
    }

    pub(super) async fn submit<A: Listed>(&self, id: &A::Id, command: A::Command) {
        let (addressed, command_id) =
            (Addressed::to::<A>(id, command), CommandId::new(Uuid::now_v7()));
        let submission = Submission::new(addressed, command_id, "test".into());
        let deadline = Instant::now() + Duration::from_secs(10);
        let answer = self.managers.engine.submit(submission, deadline).await.unwrap();
        assert!(matches!(answer.outcome, Outcome::Committed { .. }), "{answer:?}");
    }

    pub(super) async fn tell_stock(&self, sku: &Sku, command: stock::Command) {
        self.submit::<Stock>(sku, command).await;
    }

    pub(super) async fn receive(&self, sku: &Sku, quantity: u32) {
        self.tell_stock(sku, stock::Command::receive(quantity)).await;
    }

    pub(super) async fn reserve(&self, sku: &Sku, order_id: OrderId, quantity: u32) {
        let reservation_id = reservation(order_id, sku);
        self.tell_stock(sku, stock::Command::reserve(reservation_id, order_id, quantity)).await;
    }

    pub(super) async fn read<A: Listed>(&self, id: &A::Id) -> Arc<A> {
        self.managers.engine.read(id, Consistency::Linearizable).await.unwrap().state
    }

    pub(super) async fn stock(&self, sku: &Sku) -> Arc<Stock> {
        self.read(sku).await
    }

    pub(super) async fn order(&self) -> Arc<Order> {
        self.read(&ORDER).await
    }

    /// Runs an event with what is known of it. What had become of its steps if one of them cannot be
    /// done.
    pub(super) async fn run(&self, event: &Recorded, process: &Process) -> Option<Vec<Taken>> {
        let mut permit = Permits::new(1).try_take().unwrap();
        let verdicts = Verdicts::of(process, event.id);
        let run = self.managers.run::<CheckoutProcess>(event, &verdicts, &mut permit);
        run.await.err().map(|it| it.taken)
    }

    /// Runs an event as it comes from the log, with what is known of it, and parks what cannot be done.
    pub(super) async fn deliver(&self, event: &Recorded) {
        let (event_type, value) = codec::encode(&event.event);
        let shard = self.managers.engine.shard_of(&event.stream);
        let delivered = Delivered {
            event: EventRecord {
                id: event.id,
                event_type,
                stream: event.stream.clone(),
                revision: event.revision,
                value,
                ..sample::event(sample::PLACE, 9)
            },
            shard,
            span: 1..2,
        };
        let verdicts = Verdicts::of(&*self.parked(event).await, event.id);
        let permit = Permits::new(1).try_take().unwrap();
        self.managers.handle(&delivered, &verdicts, permit).await;
    }

    /// What the log holds of parked steps of an event's shard.
    pub(super) async fn parked(&self, event: &Recorded) -> Arc<Process> {
        self.managers.decided(self.managers.engine.shard_of(&event.stream)).await
    }

    /// Parks a step of an event and tells nothing else.
    pub(super) async fn park(&self, event: &Recorded, name: &str, target: &StreamId) {
        let step_id = StepId::of(EVENT, name, Some(target));
        let process::Event::StepParked { step, failure, attempt, taken, .. } =
            step_parked(name, target, vec![])
        else {
            unreachable!("it is one")
        };
        let command = process::Command::Park { step_id, step, failure, attempt, taken };
        let shard = self.managers.engine.shard_of(&event.stream);
        self.submit::<Process>(&shard, command).await;
    }
}

pub(super) fn tea() -> Sku {
    "tea".parse().unwrap()
}

pub(super) fn milk() -> Sku {
    "milk".parse().unwrap()
}

/// Two units of tea and two of milk.
pub(super) fn agreed() -> Checkout {
    let checkout = testing::sample::checkout();
    let line = |sku| Line { sku, quantity: 2, ..checkout.lines[0].clone() };
    Checkout { lines: vec![line(tea()), line(milk())], ..checkout.clone() }
}

/// A step of the event is parked; that is what had become of the others.
fn step_parked(name: &str, target: &StreamId, taken: Vec<Taken>) -> process::Event {
    let step = process::Step {
        name: name.to_owned(),
        target: Some(target.clone()),
        event_id: EVENT,
        ..testing::sample::step()
    };
    let failure = Failure { code: "stream_unreadable".to_owned(), detail: String::new() };
    let data = json!({
        "step_id": StepId::of(EVENT, name, Some(target)), "step": step, "failure": failure,
        "attempt": 0, "parked_at": agreed().placed_at, "taken": taken,
    });
    testing::event::<Process>("step_parked", data)
}

pub(super) fn parked(name: &str, target: &StreamId) -> Process {
    fold([step_parked(name, target, vec![])])
}

/// An operator has it tried again.
pub(super) fn retried(name: &str, target: &StreamId, taken: Vec<Taken>) -> Process {
    let step_id = StepId::of(EVENT, name, Some(target));
    let data = json!({ "step_id": step_id, "attempt": 1, "by": "key:1" });
    let retried = testing::event::<Process>("step_retried", data);
    fold([step_parked(name, target, taken), retried])
}

/// An operator has skipped it.
pub(super) fn skipped(name: &str, target: &StreamId) -> Process {
    let step_id = StepId::of(EVENT, name, Some(target));
    let data = json!({ "step_id": step_id, "reason": "nobody waits for it", "by": "key:1" });
    let skipped = testing::event::<Process>("step_skipped", data);
    fold([step_parked(name, target, vec![]), skipped])
}
