//! Replay of the log itself, for analysts: which events ([`selection`]), in which order ([`lanes`]), without
//! what tells of a person ([`mask`]), written in lines ([`format`]), as a body that comes in chunks ([`run`]),
//! each of which ends with where to go on ([`cursor`]).
//!
//! A replay has readers of its own and holds a few batches of records of each shard that it reads at once: it
//! goes as fast as its client takes the lines, or as it may ([`pace`]), and ends with it.
//!
//! **Invariant:** what counts is told by the reader machine that everybody uses, so that a replay never
//! shows what a deposed writer left behind.

mod audit;
mod cursor;
pub(crate) mod format;
mod lanes;
pub(crate) mod mask;
mod pace;
mod places;
mod run;
pub(crate) mod selection;

use std::{sync::Arc, time::Duration};

use domain::{api_key::Role, shard::ShardId, timestamp::Timestamp};
use infra::{
    auth::{Caller, Client},
    clock::Clock,
    config::{self, ReplayLimits},
    http::{page::Cursor, problem::Problem},
    log::{EventLog, follow, kafka::KafkaLog},
    position::{Entry, InvalidPosition, Position},
    shutdown::Shutdown,
};
use secrecy::SecretString;
use tokio::{sync::OnceCell, time::Instant};

pub(crate) use audit::Audit;
use cursor::{Cursors, Place};
pub(crate) use mask::Pseudonyms;
use pace::{Bandwidth, Pace};
use places::{Places, unreachable};
pub(crate) use run::Run;
use selection::{Bound, Personal, Selection};

/// Where replays read.
pub(crate) enum Source {
    /// Kafka, which is connected to by the first replay.
    Kafka(Box<config::Kafka>),
    #[cfg(test)]
    Given(Arc<dyn EventLog>),
}

/// All replays of one node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Replays(Arc<Inner>);

struct Inner {
    source: Source,
    log: OnceCell<Arc<dyn EventLog>>,
    places: Places,
    bandwidth: Bandwidth,
    key: SecretString,
    names: Pseudonyms,
    audit: Audit,
    /// Ends all of them, each behind a cursor.
    stop: Shutdown,
}

impl Replays {
    pub(crate) fn new(
        source: Source,
        key: SecretString,
        limits: &ReplayLimits,
        audit: Audit,
        stop: Shutdown,
    ) -> Self {
        let places = Places::new(limits.concurrent_max, limits.concurrent_max_each);
        let bandwidth = Bandwidth::new(limits.bytes_per_second);
        let (log, names) = (OnceCell::new(), Pseudonyms::new(&key));
        Self(Arc::new(Inner { source, log, places, bandwidth, key, names, audit, stop }))
    }

    /// Begins a replay, or goes on with one.
    ///
    /// # Errors
    /// The caller may not see what it asks for; there is no place or no log, the cursor is not of this replay, or a position of this log.
    pub(crate) async fn begin(
        &self,
        caller: &Caller,
        selection: Selection,
        cursor: Option<&Cursor>,
    ) -> Result<Run, Problem> {
        if selection.personal == Personal::Shown {
            caller.require(&[Role::Privacy])?;
        }
        let slot = self.0.places.take(Client::from(caller))?;
        let log = self.log().await?;
        let cursors = Cursors::new(&self.0.key, &selection);
        let place = match cursor {
            Some(cursor) => cursors.read(cursor, &*log).await?,
            None => first_place(&selection, &*log).await?,
        };
        let names = match selection.personal {
            Personal::Masked => Some(self.0.names.clone()),
            Personal::Shown => {
                self.0.audit.personal_read(&caller.actor(), &selection.text).await?;
                None
            }
        };
        let log_id = follow::log_id(&*log, ShardId::new(0)).await.map_err(unreachable)?;
        let time = |micros: Option<i64>| micros.map(Timestamp::from_micros);
        Ok(Run {
            log,
            log_id,
            times: (time(place.from), time(place.to)),
            lanes: place.lanes(),
            last: 0,
            cursors,
            names,
            pace: selection.rate.map(Pace::new),
            bandwidth: self.0.bandwidth.clone(),
            silent: Duration::ZERO,
            began: Instant::now(),
            is_begun: cursor.is_some(),
            ended: false,
            stop: self.0.stop.clone(),
            selection,
            _slot: slot,
        })
    }

    /// What makes the pseudonyms, wherever events are shown.
    pub(crate) fn names(&self) -> &Pseudonyms {
        &self.0.names
    }

    async fn log(&self) -> Result<Arc<dyn EventLog>, Problem> {
        let connect = || async {
            match &self.0.source {
                #[cfg(test)]
                Source::Given(log) => Ok(Arc::clone(log)),
                Source::Kafka(kafka) => {
                    let log = KafkaLog::connect(kafka, &kafka.topic).await;
                    Ok(Arc::new(log.map_err(unreachable)?) as Arc<dyn EventLog>)
                }
            }
        };
        self.0.log.get_or_try_init(connect).await.cloned()
    }
}

/// Before everything that is asked for. The end is the log's end now.
async fn first_place(selection: &Selection, log: &dyn EventLog) -> Result<Place, Problem> {
    for bound in [&selection.from, &selection.to].into_iter().flatten() {
        match bound {
            Bound::Position(position) => check_is_of(log, position).await?,
            Bound::Strange => return Err(InvalidPosition.into()),
            Bound::Time(_) | Bound::Ago(_) => {}
        }
    }
    let now = Clock::System.now();
    let time = |bound: &Option<Bound>| bound.as_ref().and_then(|bound| bound.time(now));
    let mut ends = Vec::new();
    for shard in shards(log) {
        let end = log.range(shard).await.map_err(unreachable)?.end;
        let bound = selection.to.as_ref().and_then(|to| to.offset(shard));
        ends.push(bound.map_or(end, |bound| bound.min(end)));
    }
    Ok(Place::first(time(&selection.from), time(&selection.to), ends))
}

fn shards(log: &dyn EventLog) -> impl Iterator<Item = ShardId> + use<> {
    (0..log.shard_count()).map(ShardId::new)
}

async fn check_is_of(log: &dyn EventLog, position: &Position) -> Result<(), Problem> {
    for Entry { shard, log_id, .. } in position.entries() {
        let exists = shard.index() < log.shard_count();
        if !exists || follow::log_id(log, shard).await.map_err(unreachable)? != Some(log_id) {
            let detail = "the position is of another log than the one that is here";
            return Err(Problem::bad_request("unknown_log", detail));
        }
    }
    Ok(())
}
