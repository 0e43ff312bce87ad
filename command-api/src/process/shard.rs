//! Follows one shard: reads events, keeps a bounded number of them under way, stores progress, and
//! reports what is done to the engine, where requests wait for it.

use std::{pin::pin, time::Duration};

use domain::{StreamType, process::Process, shard::ShardId};
use futures_util::{Stream, StreamExt, stream, stream::FuturesUnordered};
use infra::{
    codec,
    log::{Checkpoint, Commit, CommitBody, EventRecord, ReadError, progress::ProgressError},
    retry::Policy,
    shutdown::Shutdown,
    telemetry::emit,
};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{
    commit_stream::CommitStream,
    manager::Managers,
    parked::Delivered,
    permits::{Permit, Permits},
    progress::{BatchId, Progress},
    verdicts::Verdicts,
    wanting,
};
use crate::metrics::{FollowInterrupted, ProgressStored, ProgressUnstored};

/// Events of a shard that are under way at once, but for those that wait for somebody outside, or for
/// another shard for long. No more are read beyond it.
const UNDER_WAY_MAX: usize = 256;
/// Batches with an event that does not get done. Reading waits beyond it.
const BATCHES_MAX: usize = 10_000;
/// Events of a shard that are under way in all, those that wait for somebody included. No more are read
/// beyond it.
const WAITING_MAX: usize = 16_384;
/// A follower that has gone on for this long has recovered.
const RECOVERED_AFTER: Duration = Duration::from_mins(1);
/// Records read in one go.
const RECORDS_MAX: usize = 256;
/// How often progress is stored: as much is done again after a crash, to no effect.
const STORE_EVERY: Duration = Duration::from_millis(200);

/// The log can never be followed again from here.
#[derive(Debug, thiserror::Error)]
#[error("process managers cannot follow shard {shard}")]
pub struct FollowFailed {
    shard: ShardId,
    #[source]
    source: ReadError,
}

/// One shard's follower; run it with [`Follow::run`].
pub struct Follow {
    shard: ShardId,
    managers: Managers,
}

/// Why a run ended.
#[derive(Debug, thiserror::Error)]
enum Interrupted {
    #[error(transparent)]
    Progress(#[from] ProgressError),
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Managers {
    /// One follower per shard; the caller runs each as a task.
    #[must_use]
    pub fn followers(&self) -> Vec<Follow> {
        let shards = (0..self.log.shard_count()).map(ShardId::new);
        shards.map(|shard| Follow { shard, managers: self.clone() }).collect()
    }
}

impl Follow {
    /// Follows until the shutdown. What is under way then is done again after the next start.
    ///
    /// # Errors
    /// What no waiting can mend.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), FollowFailed> {
        let mut waits = Policy::PATIENT.waits();
        loop {
            let began = Instant::now();
            let interrupted = tokio::select! {
                () = shutdown.requested() => return Ok(()),
                interrupted = self.follow_while_served() => interrupted,
            };
            match interrupted {
                Interrupted::Read(source) if !matches!(source, ReadError::Unavailable(_)) => {
                    return Err(FollowFailed { shard: self.shard, source });
                }
                error => emit(FollowInterrupted { shard: self.shard, error: &error }),
            }
            if began.elapsed() > RECOVERED_AFTER {
                waits.reset();
            }
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                _ = waits.wait() => {}
            }
        }
    }

    /// Follows while this node serves the shard, so that the nodes do not all do the same. What is
    /// under way when it no longer does is done by the next one, again or for the first time.
    async fn follow_while_served(&self) -> Interrupted {
        loop {
            self.managers.engine.served_here(self.shard, true).await;
            tokio::select! {
                interrupted = self.follow() => return interrupted,
                () = self.managers.engine.served_here(self.shard, false) => {}
            }
        }
    }

    /// The commits behind the stored progress.
    async fn open(&self) -> Result<CommitStream, Interrupted> {
        let Managers { engine, log, progress, .. } = &self.managers;
        let checkpoint = progress.load(self.shard).await?;
        Ok(CommitStream::open(engine, log, self.shard, checkpoint).await?)
    }

    /// Follows from the stored progress until something is in the way.
    async fn follow(&self) -> Interrupted {
        let stream = match self.open().await {
            Ok(stream) => stream,
            Err(interrupted) => return interrupted,
        };
        let decided = self.managers.decided(self.shard).await;
        let reactions = self.managers.engine.reactions(self.shard);
        let following = reactions.follow(stream.checkpoint().next_offset);
        let mut batches = pin!(batches(self.shard, stream));
        let mut progress = Progress::default();
        let mut under_way = FuturesUnordered::new();
        // One at most; what is under way goes on meanwhile.
        let mut storing = FuturesUnordered::new();
        let mut waiting: Vec<(BatchId, Delivered)> = Vec::new();
        let permits = Permits::new(UNDER_WAY_MAX);
        let mut ticks = interval(STORE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            while !waiting.is_empty()
                && let Some(permit) = permits.try_take()
                && let Some((batch, event)) = waiting.pop()
            {
                under_way.push(self.handle(batch, event, &decided, permit));
            }
            let may_read = waiting.is_empty()
                && under_way.len() < WAITING_MAX
                && progress.unfinished() < BATCHES_MAX;
            tokio::select! {
                Some((batch, Delivered { event, span, .. })) = under_way.next() => {
                    progress.finish_one(batch);
                    following.finish(&event.stream, span.start);
                }
                permit = permits.take(), if !waiting.is_empty() => {
                    if let Some((batch, event)) = waiting.pop() {
                        under_way.push(self.handle(batch, event, &decided, permit));
                    }
                }
                Some(read) = batches.next(), if may_read => match read {
                    Ok((events, checkpoint)) => {
                        let told = events.iter().map(|it| (&it.event.stream, it.span.start));
                        following.read(told, checkpoint.next_offset);
                        let batch = progress.begin(checkpoint, events.len());
                        // Taken from the end, so the oldest comes last.
                        waiting.extend(events.into_iter().rev().map(|event| (batch, event)));
                    }
                    Err(error) => return Interrupted::Read(error),
                },
                _ = ticks.tick(), if storing.is_empty() => {
                    storing.extend(progress.settled().map(|checkpoint| self.store(checkpoint)));
                }
                Some(()) = storing.next() => {}
            }
        }
    }

    async fn handle(
        &self,
        batch: BatchId,
        delivered: Delivered,
        decided: &Process,
        permit: Permit,
    ) -> (BatchId, Delivered) {
        let verdicts = Verdicts::of(decided, delivered.event.id);
        self.managers.handle(&delivered, &verdicts, permit).await;
        (batch, delivered)
    }

    async fn store(&self, checkpoint: Checkpoint) {
        let next_offset = checkpoint.next_offset;
        // The next one carries more, so nothing is lost.
        match self.managers.progress.store(self.shard, checkpoint).await {
            Ok(()) => emit(ProgressStored { shard: self.shard, next_offset }),
            Err(error) => emit(ProgressUnstored { shard: self.shard, error: &error }),
        }
    }
}

/// The events that a manager may react to, batch by batch, each with the checkpoint behind it.
fn batches(
    shard: ShardId,
    source: CommitStream,
) -> impl Stream<Item = Result<(Vec<Delivered>, Checkpoint), ReadError>> {
    stream::unfold(Some((shard, source)), async |state| {
        let (shard, mut source) = state?;
        loop {
            let mut start = source.checkpoint().next_offset;
            match source.next(RECORDS_MAX).await {
                Ok(commits) if commits.is_empty() => {}
                Ok(commits) => {
                    let delivered = commits.into_iter().flat_map(|commit| {
                        let span = start..commit.next_offset;
                        start = span.end;
                        let of_managers = events(commit).into_iter().filter(matters);
                        of_managers.map(move |event| Delivered { event, shard, span: span.clone() })
                    });
                    let delivered = delivered.collect();
                    let checkpoint = source.checkpoint();
                    return Some((Ok((delivered, checkpoint)), Some((shard, source))));
                }
                Err(error) => return Some((Err(error), None)),
            }
        }
    })
}

fn events(commit: Commit) -> Vec<EventRecord> {
    match commit.body {
        CommitBody::Events(events) => events,
        CommitBody::Barrier(_) => vec![],
    }
}

/// Whether it is worth decoding: a manager wants it, or it is an operator's word on a parked step.
fn matters(event: &EventRecord) -> bool {
    let is_of_operators = event.stream.stream_type() == Some(StreamType::Process)
        && matches!(codec::event_name(&event.event_type), Some("step_retried" | "step_skipped"));
    is_of_operators || wanting(event).next().is_some()
}
