//! The shell of one shard: waits for requests, reports, fetched records and time, feeds the
//! machine and runs its effects in order. It decides nothing.

mod stored;

use std::{
    collections::VecDeque,
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use domain::{
    id::{CommandId, StreamId},
    shard::ShardId,
};
use infra::{
    clock::Clock,
    log::{
        AppendError, ClaimInfo, ClaimRecord, EventLog, LogRecord, LogWriter, Nonce, Offset,
        OutgoingRecord, ReadError, Report, Ticket,
    },
    membership::View,
    shutdown::Shutdown,
    task::{self, Task},
    telemetry::emit,
};
use rustc_hash::FxHashMap;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use stored::Failures;

use super::{
    Answer, Cluster, Consistency, Node, ShardStatus, Shown, Submission, SubmitError,
    effect::{Effect, Input, RequestId, Role, TakeOverReason},
    events::{
        CacheAsked, EntryUnreadable, EpochEnded, GroupReported, GroupSent, PhaseChanged,
        RecordNotReadable, RecordsRead, RoleChanged, StreamUnreadable, TakingOver, Ticked,
        WriterFailed,
    },
    listener::{Listener, Listening},
    saver::Saver,
    snapshots::Uploader,
    status::Phase,
    step::Machine,
    store::{MemoryStore, Stores},
};

/// Inputs taken in one go before a group is sent.
const BURST_MAX: usize = 512;

/// The regular tick, which also bounds how late a deadline fires.
const TICK: Duration = Duration::from_millis(50);

/// Records read in one go while replaying.
const FETCH_RECORDS_MAX: usize = 2_000;

/// Chunks of fetched records that wait for the machine; the reading waits beyond it.
const FETCH_CHUNKS_MAX: usize = 4;

/// How long a shutdown waits for pending commands.
const DRAIN_WAIT_MAX: Duration = Duration::from_secs(10);

pub(super) enum Request {
    Submit { submission: Arc<Submission>, reply: SubmitReply },
    Read { streams: Vec<StreamId>, consistency: Consistency, reply: ReadReply },
    Knows { command_id: CommandId, reply: oneshot::Sender<Result<bool, SubmitError>> },
    Listen { commits_max: usize, reply: oneshot::Sender<Listening> },
}

impl Request {
    fn refuse(self, error: SubmitError) {
        // A caller that went away needs no answer.
        match self {
            Self::Submit { reply, .. } => drop(reply.sender.send(Err(error))),
            Self::Read { reply, .. } => drop(reply.send(Err(error))),
            Self::Knows { reply, .. } => drop(reply.send(Err(error))),
            Self::Listen { reply, .. } => drop(reply),
        }
    }
}

/// The way back to who submitted a command.
pub(super) struct SubmitReply {
    pub(super) sender: oneshot::Sender<Result<Answer, SubmitError>>,
    /// Set when it waits for the answer of an earlier one.
    pub(super) joined: Arc<AtomicBool>,
}

type ReadReply = oneshot::Sender<Result<Shown, SubmitError>>;

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
    store_failures: Failures,
    /// Whether a snapshot has been looked for since the store was last found to be empty.
    has_sought: bool,
    requests: mpsc::Receiver<Request>,
    view: watch::Receiver<View>,
    standby_replicas: usize,
    status: watch::Sender<ShardStatus>,
    replies: FxHashMap<RequestId, SubmitReply>,
    reads: FxHashMap<RequestId, (Vec<StreamId>, ReadReply)>,
    next_request: u64,
    writer: Option<Writer>,
    fetch: Option<Fetch>,
    listener: Option<Listener>,
}

struct Writer {
    append: Box<dyn LogWriter>,
    reports: mpsc::Receiver<Report>,
    /// The last record of each group that is under way, and since when.
    groups: VecDeque<(Ticket, Instant)>,
}

/// Dropping it ends the reading.
struct Fetch {
    chunks: mpsc::Receiver<Result<Vec<LogRecord>, ReadError>>,
    _task: Task<()>,
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
            store_failures: Failures::default(),
            has_sought: false,
            requests,
            view: cluster.view.clone(),
            standby_replicas: cluster.standby_replicas,
            status,
            replies: FxHashMap::default(),
            reads: FxHashMap::default(),
            next_request: 0,
            writer: None,
            fetch: None,
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
            opened = self.open_store() => opened?,
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
                    emit(RecordsRead { shard: self.id, records: records.len() });
                    self.machine.step(Input::Fetched { records }, &mut effects);
                }
                Woken::Chunk(Some(Err(source))) => {
                    return Err(ShardError::Read { shard: self.id, source });
                }
                Woken::Chunk(None) => self.fetch = None,
                Woken::Request(Some(request)) => self.take_requests(request, &mut effects),
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
                    let in_flight = self.machine.in_flight();
                    emit(Ticked { status: &self.machine.status(), in_flight });
                    let lookups = self.machine.take_lookups();
                    let unsaved_bytes = self.machine.unsaved_bytes();
                    emit(CacheAsked { shard: self.id, lookups, unsaved_bytes });
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
        let fetch = self.fetch.as_mut().filter(|_| takes);
        tokio::select! {
            biased;
            report = async { match &mut self.writer {
                Some(writer) => writer.reports.recv().await,
                None => std::future::pending().await,
            } } => Woken::Report(report),
            Ok(()) = self.view.changed(), if !draining => Woken::View,
            chunk = async { match fetch {
                Some(fetch) => fetch.chunks.recv().await,
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
        emit(RoleChanged { shard: self.id, role });
        self.machine.step(Input::RoleChanged { role, now: self.clock.now() }, effects);
    }

    fn role_in(&self, view: &View) -> Option<Role> {
        Role::of(view, self.id, &self.node.name, self.standby_replicas)
    }

    fn take_reports(&mut self, first: Report, effects: &mut Vec<Effect>) {
        self.machine.step(Input::Heard { now: self.clock.now() }, effects);
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(report) = next {
            self.measure(report.ticket);
            self.machine.step(Input::Reported { report }, effects);
            taken += 1;
            let ready = |writer: &mut Writer| writer.reports.try_recv().ok();
            next = if taken < BURST_MAX { self.writer.as_mut().and_then(ready) } else { None };
        }
    }

    /// Reports come in the order of appending, so the oldest group ends first.
    fn measure(&mut self, reported: Ticket) {
        let Some(writer) = &mut self.writer else { return };
        if let Some((_, sent_at)) = writer.groups.pop_front_if(|(last, _)| *last == reported) {
            emit(GroupReported { shard: self.id, took: sent_at.elapsed() });
        }
    }

    fn take_requests(&mut self, first: Request, effects: &mut Vec<Effect>) {
        let now = self.clock.now();
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(request) = next {
            match request {
                Request::Submit { submission, reply } => {
                    let request = self.next_request();
                    self.replies.insert(request, reply);
                    self.machine.step(Input::Submitted { request, submission, now }, effects);
                }
                Request::Read { streams, consistency: Consistency::Serializable, reply }
                    if self.machine.is_serving() =>
                {
                    self.show(&streams, reply);
                }
                Request::Read { streams, reply, .. } => {
                    let request = self.next_request();
                    self.reads.insert(request, (streams, reply));
                    self.machine.step(Input::Asked { request, now }, effects);
                }
                Request::Knows { command_id, reply } => {
                    // A caller that went away needs no answer.
                    reply.send(self.machine.knows(command_id, now)).ok();
                }
                Request::Listen { commits_max, reply } if self.machine.is_serving() => {
                    let (listener, listening) =
                        Listener::new(self.machine.checkpoint(), commits_max);
                    // A follower that went away is found out with the next commit.
                    reply.send(listening).ok();
                    self.hear(Some(listener));
                }
                // Who does not serve the shard is no place to listen at.
                Request::Listen { reply, .. } => drop(reply),
            }
            taken += 1;
            next = if taken < BURST_MAX { self.requests.try_recv().ok() } else { None };
        }
    }

    fn hear(&mut self, listener: Option<Listener>) {
        self.machine.tell_commits(listener.is_some());
        self.listener = listener;
    }

    fn next_request(&mut self) -> RequestId {
        self.next_request += 1;
        RequestId(self.next_request)
    }

    fn show(&mut self, streams: &[StreamId], reply: ReadReply) {
        let snapshots = streams.iter().map(|stream| self.machine.snapshot(stream));
        let snapshots = snapshots.collect::<Result<_, _>>();
        let shown = snapshots.map(|snapshots| Shown { snapshots, at: self.machine.position() });
        // A caller that went away needs no answer.
        reply.send(shown).ok();
    }

    /// A fresh writer, and a claim to send through it.
    async fn claim(&mut self, reason: TakeOverReason, more: &mut Vec<Effect>) {
        emit(TakingOver { shard: self.id, reason });
        let opened = self.log.open_writer(self.id).await;
        let now = self.clock.now();
        let info = ClaimInfo {
            node: self.node.name.clone(),
            url: self.node.url.clone(),
            started_at: now,
            software: concat!("tradewind/", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let claim = ClaimRecord { nonce: Nonce::random(), info };
        self.machine.step(Input::ClaimReady { claim, now }, more);
        match opened {
            Ok((append, reports)) => {
                self.writer = Some(Writer { append, reports, groups: VecDeque::new() });
            }
            Err(error) => self.writer_failed(&error, more),
        }
    }

    fn writer_failed(&mut self, error: &(dyn Error + 'static), more: &mut Vec<Effect>) {
        emit(WriterFailed { shard: self.id, error });
        self.machine.step(Input::AppendFailed, more);
    }

    async fn run_effects(&mut self, effects: &mut Vec<Effect>) -> Result<(), ShardError> {
        while !effects.is_empty() {
            let mut more = Vec::new();
            for effect in effects.drain(..) {
                self.run_effect(effect, &mut more).await?;
            }
            effects.append(&mut more);
        }
        Ok(())
    }

    async fn run_effect(
        &mut self,
        effect: Effect,
        more: &mut Vec<Effect>,
    ) -> Result<(), ShardError> {
        match effect {
            Effect::Reply { request, result } => {
                if let Some(reply) = self.replies.remove(&request) {
                    // A caller that went away needs no answer.
                    reply.sender.send(result).ok();
                }
            }
            Effect::Joined { request } => {
                if let Some(reply) = self.replies.get(&request) {
                    reply.joined.store(true, Ordering::Relaxed);
                }
            }
            Effect::ReplyRead { request, result } => match (self.reads.remove(&request), result) {
                (Some((streams, reply)), Ok(())) => self.show(&streams, reply),
                (Some((_, reply)), Err(error)) => drop(reply.send(Err(error))),
                (None, _) => {}
            },
            Effect::Claim { reason } => self.claim(reason, more).await,
            Effect::Grouped { records, last } => {
                emit(GroupSent { shard: self.id, records });
                if let Some(writer) = &mut self.writer {
                    writer.groups.push_back((last, Instant::now()));
                }
            }
            Effect::Append { records } => self.append(records, more),
            Effect::Read { from, to } => self.fetch = Some(self.fetch(from, to)),
            Effect::StopReading => self.fetch = None,
            Effect::Emitted { commit, checkpoint } => {
                if self.listener.as_ref().is_some_and(|it| !it.tell(commit, checkpoint)) {
                    self.hear(None);
                }
            }
            Effect::LetGo => self.writer = None,
            Effect::GiveUp { reason } => {
                emit(EpochEnded { shard: self.id, reason });
                self.writer = None;
            }
            Effect::Unreadable { stream, detail } => {
                emit(StreamUnreadable { shard: self.id, stream: &stream, detail: &detail });
            }
            Effect::NotReadable { stream, detail } => {
                emit(RecordNotReadable { shard: self.id, stream: &stream, detail: &detail });
            }
            Effect::Halt { reason } => return Err(ShardError::Halted { shard: self.id, reason }),
        }
        Ok(())
    }

    fn tell_unreadable(&mut self) {
        for entry in &self.machine.take_unreadable() {
            emit(EntryUnreadable { shard: self.id, entry });
        }
    }

    fn append(
        &mut self,
        mut records: VecDeque<(OutgoingRecord, Ticket)>,
        more: &mut Vec<Effect>,
    ) {
        // Without a writer its epoch has ended, and these records are void.
        let Some(writer) = &mut self.writer else { return };
        while let Some((record, ticket)) = records.front() {
            match writer.append.append(record, *ticket) {
                Ok(()) => drop(records.pop_front()),
                Err(AppendError::QueueFull) => {
                    self.machine.step(Input::QueueFull { records }, more);
                    return;
                }
                Err(error @ AppendError::Fatal(_)) => return self.writer_failed(&error, more),
            }
        }
    }

    fn fetch(&self, from: Offset, to: Option<Offset>) -> Fetch {
        let (sender, chunks) = mpsc::channel(FETCH_CHUNKS_MAX);
        let (log, shard) = (Arc::clone(&self.log), self.id);
        let task = task::spawn("shard-fetch", async move {
            if let Err(error) = fetch(&*log, shard, from..to.unwrap_or(Offset::MAX), &sender).await
            {
                // The shard has dropped the fetch: nobody wants to know.
                sender.send(Err(error)).await.ok();
            }
        });
        Fetch { chunks, _task: task }
    }

    /// Tells of a change of phase. Of a shard that serves it tells nothing else: whoever waits for
    /// one would be woken with every group.
    fn publish(&mut self) {
        let status = self.machine.status();
        let phase_changed = status.phase != self.status.borrow().phase;
        if phase_changed {
            emit(PhaseChanged { status: &status });
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

async fn fetch(
    log: &dyn EventLog,
    shard: ShardId,
    range: std::ops::Range<Offset>,
    chunks: &mpsc::Sender<Result<Vec<LogRecord>, ReadError>>,
) -> Result<(), ReadError> {
    let mut reader = log.open_reader(shard, range.start).await?;
    let mut next = range.start;
    while next < range.end {
        let left = usize::try_from(range.end - next).unwrap_or(usize::MAX);
        let records = reader.read(left.min(FETCH_RECORDS_MAX), Duration::from_secs(1)).await?;
        let Some(last) = records.last() else { continue };
        next = last.offset + 1;
        if chunks.send(Ok(records)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}
