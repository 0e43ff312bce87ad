//! The shell of one shard: waits for requests, reports, fetched records and time, feeds the
//! machine and runs its effects in order. It decides nothing.

mod effects;
mod inputs;
mod log;
mod stored;

use std::{sync::Arc, time::Duration};

use domain::{id::StreamId, shard::ShardId};
use infra::{
    clock::Clock,
    log::{EventLog, LogRecord, ReadError, Report},
    membership::View,
    retry::{Policy, Waits},
    shutdown::Shutdown,
    telemetry::emit,
};
use rustc_hash::FxHashMap;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::{
    effect::{Effect, Input, RequestId, Role},
    events::{OfShard, ShardEvent, Ticked},
    listener::Listener,
    ownership::{Cluster, Node},
    saver::Saver,
    snapshots::Uploader,
    status::{Phase, ShardStatus},
    step::Machine,
    store::{MemoryStore, Stores},
};
pub(super) use inputs::{Reply, Request};
use log::{Reading, Writer};

/// Inputs taken in one go before a group is sent.
const BURST_MAX: usize = 512;

/// The regular tick, which also bounds how late a deadline fires.
const TICK: Duration = Duration::from_millis(50);

/// How long a shutdown waits for pending commands.
const DRAIN_WAIT_MAX: Duration = Duration::from_secs(10);

/// Why a shard cannot go on. The process ends: a half-alive node is worse than a dead one.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    #[error("shard {shard} stopped: {reason}")]
    Halted { shard: ShardId, reason: String },
    #[error("shard {shard} cannot be replayed")]
    Read {
        shard: ShardId,
        #[source]
        source: ReadError,
    },
}

/// One shard's task: run it with [`Shard::run`].
pub struct Shard {
    id: ShardId,
    machine: Machine,
    log: Arc<dyn EventLog>,
    node: Node,
    clock: Clock,
    stores: Stores,
    /// Once the store is open.
    saver: Option<Saver>,
    uploader: Option<Uploader>,
    /// Between failures of the store.
    store_waits: Waits,
    store_failed_at: Option<Instant>,
    /// Whether a snapshot has been looked for since the store was last found to be empty.
    has_sought: bool,
    requests: mpsc::Receiver<Request>,
    view: watch::Receiver<View>,
    standby_replicas: usize,
    status: watch::Sender<ShardStatus>,
    replies: FxHashMap<RequestId, Reply>,
    reads: FxHashMap<RequestId, (Vec<StreamId>, Reply)>,
    next_request: u64,
    writer: Option<Writer>,
    reading: Option<Reading>,
    listener: Option<Listener>,
}

/// What the shell woke up for.
enum Woken {
    Report(Option<Report>),
    Chunk(Option<Result<Vec<LogRecord>, ReadError>>),
    Request(Option<Request>),
    View,
    Tick,
    /// A write to the store has ended.
    Saved,
    Shutdown,
}

impl Shard {
    pub(super) fn new(
        id: ShardId,
        log: Arc<dyn EventLog>,
        node: Node,
        clock: Clock,
        stores: Stores,
        requests: mpsc::Receiver<Request>,
        cluster: &Cluster,
    ) -> (Self, watch::Receiver<ShardStatus>) {
        let machine = without_store(id);
        let (status, seen) = watch::channel(machine.status());
        let shard = Self {
            id,
            machine,
            log,
            node,
            clock,
            stores,
            saver: None,
            uploader: None,
            store_waits: Policy::PATIENT.waits(),
            store_failed_at: None,
            has_sought: false,
            requests,
            view: cluster.view.clone(),
            standby_replicas: cluster.standby_replicas,
            status,
            replies: FxHashMap::default(),
            reads: FxHashMap::default(),
            next_request: 0,
            writer: None,
            reading: None,
            listener: None,
        };
        (shard, seen)
    }

    /// Serves until the shutdown, and then until nothing is pending.
    ///
    /// # Errors
    /// The log contradicts what was read, or cannot be read.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), ShardError> {
        tokio::select! {
            opened = self.open_store(Duration::ZERO) => opened?,
            () = shutdown.requested() => return Ok(()),
        }
        let mut effects = Vec::new();
        let mut tick_at = Instant::now() + TICK;
        let mut drain_until: Option<Instant> = None;
        loop {
            if drain_until.is_some_and(|until| self.is_drained() || Instant::now() >= until) {
                self.close_store().await;
                return Ok(());
            }
            match self.wait(tick_at, &shutdown, drain_until.is_some()).await {
                Woken::Report(Some(report)) => self.take_reports(report, &mut effects),
                Woken::Report(None) => {
                    self.machine.step(Input::AppendFailed, &mut effects);
                }
                Woken::Chunk(Some(Ok(records))) => {
                    emit(OfShard(self.id, ShardEvent::RecordsRead(records.len())));
                    self.machine.step(Input::Fetched { records }, &mut effects);
                }
                Woken::Chunk(Some(Err(source))) => {
                    return Err(ShardError::Read { shard: self.id, source });
                }
                Woken::Chunk(None) => self.reading = None,
                Woken::Request(Some(request)) => self.gather(request, &mut effects).await,
                // Every handle is gone: as good as a shutdown.
                Woken::Request(None) | Woken::Shutdown => {
                    self.requests.close();
                    drain_until = Some(Instant::now() + DRAIN_WAIT_MAX);
                }
                Woken::View if self.lacks_snapshot() => tokio::select! {
                    sought = self.seek_snapshot() => sought?,
                    () = shutdown.requested() => return Ok(()),
                },
                Woken::View => self.take_role(&mut effects),
                Woken::Tick => {
                    tick_at = Instant::now() + TICK;
                    self.machine.step(Input::Ticked { now: self.clock.now() }, &mut effects);
                    emit(Ticked {
                        status: self.machine.status(),
                        in_flight: self.machine.in_flight(),
                        lookups: self.machine.take_lookups(),
                        unsaved_bytes: self.machine.unsaved_bytes(),
                    });
                    self.offer_snapshot();
                }
                Woken::Saved => {}
            }
            self.machine.step(Input::Drained { now: self.clock.now() }, &mut effects);
            self.run_effects(&mut effects).await?;
            self.tell_unreadable();
            if let Some(error) = self.machine.take_store_failure() {
                tokio::select! {
                    started = self.start_over(error) => started?,
                    () = shutdown.requested() => return Ok(()),
                }
            }
            if let Some(saver) = &mut self.saver {
                saver.offer(&mut self.machine);
            }
            self.publish();
        }
    }

    async fn wait(&mut self, tick_at: Instant, shutdown: &Shutdown, draining: bool) -> Woken {
        let wake_at = self.wake_at(tick_at);
        // A replay must not run ahead of what can be saved.
        let takes = self.machine.follows() && !self.machine.is_saturated();
        let reading = self.reading.as_mut().filter(|_| takes);
        tokio::select! {
            biased;
            report = async { match &mut self.writer {
                Some(writer) => writer.reports.recv().await,
                None => std::future::pending().await,
            } } => Woken::Report(report),
            Ok(()) = self.view.changed(), if !draining => Woken::View,
            chunk = async { match reading {
                Some(reading) => reading.chunks.recv().await,
                None => std::future::pending().await,
            } } => Woken::Chunk(chunk),
            () = async { match &mut self.saver {
                Some(saver) => saver.ended(&mut self.machine).await,
                None => std::future::pending().await,
            } } => Woken::Saved,
            () = tokio::time::sleep_until(wake_at) => Woken::Tick,
            request = self.requests.recv(), if !draining => Woken::Request(request),
            () = shutdown.requested(), if !draining => Woken::Shutdown,
        }
    }

    /// The regular tick, or earlier where the machine waits for a moment.
    fn wake_at(&self, tick_at: Instant) -> Instant {
        let Some(at) = self.machine.wakes_at() else { return tick_at };
        let soon = at.since(self.clock.now()).max(Duration::from_millis(1));
        tick_at.min(Instant::now() + soon)
    }

    fn is_drained(&self) -> bool {
        !self.machine.is_serving() || self.machine.status().pending == 0
    }

    /// Another view of the nodes may mean another part in this shard.
    fn take_role(&mut self, effects: &mut Vec<Effect>) {
        let view = self.view.borrow_and_update().clone();
        // While nobody is known to be alive, all stays as it is.
        let Some(role) = self.role_in(&view).filter(|role| *role != self.machine.role()) else {
            return;
        };
        emit(OfShard(self.id, ShardEvent::RoleChanged(role)));
        self.machine.step(Input::RoleChanged { role, now: self.clock.now() }, effects);
    }

    fn role_in(&self, view: &View) -> Option<Role> {
        Role::of(view, self.id, &self.node.name, self.standby_replicas)
    }

    /// Tells of a change of phase. Of a shard that serves it tells nothing else: whoever waits for
    /// one would be woken with every group.
    fn publish(&mut self) {
        let status = self.machine.status();
        let phase_changed = status.phase != self.status.borrow().phase;
        if phase_changed {
            emit(OfShard(self.id, ShardEvent::PhaseChanged(&status)));
        }
        let tells = phase_changed || status.phase != Phase::Serving;
        self.status.send_if_modified(|seen| {
            *seen = status;
            tells
        });
    }
}

/// A machine that knows nothing, for as long as no store is open.
fn without_store(shard: ShardId) -> Machine {
    Machine::new(shard, Arc::new(MemoryStore::default()), 0)
}
