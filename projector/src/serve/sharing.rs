//! Shares the shards among the projectors that live.
//!
//! Each projector has a session of its own at PostgreSQL, and in it an advisory lock that says that
//! it lives and one for each shard that it serves. The server lets go of them with the session: at
//! once when the process dies, and after a second and a half without a word when it is stopped or cut
//! off. A projector that serves less than its share tries to lock more; one that serves more lets
//! go. Members are ranked alike by all, so the shares add up to all shards. Projectors of another
//! release have shares of their own ([`shares`]).
//!
//! **Invariant:** correctness does not depend on it. If two projectors serve one shard, the
//! checkpoint's compare-and-set lets one of them pass. While PostgreSQL is away each goes on with its shards.

mod session;
mod shares;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use domain::shard::ShardId;
use futures_util::{StreamExt, stream::FuturesUnordered};
use infra::{
    shutdown::Shutdown,
    task::{self, Task, TaskFailed},
    telemetry::{Event, chain, emit, metric::Gauge},
};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::groups::{self, Projector};
use session::Session;
use shares::{ReleaseFolds, share};

static SHARDS: Gauge = Gauge::new(
    "tradewind_projector_shard_served",
    "1 where this projector serves the shard, by shard",
);

/// How often a projector says that it lives and looks at what others serve.
const BEAT: Duration = Duration::from_millis(250);

type Shards = FuturesUnordered<Task<(ShardId, Result<(), TaskFailed>)>>;

struct Sharing {
    projector: Arc<Projector>,
    folds: ReleaseFolds,
    session: Option<Session>,
    /// What runs, each with the way to end it.
    running: BTreeMap<ShardId, Shutdown>,
    shards: Shards,
}

/// Serves this projector's share until the shutdown.
pub(super) async fn run(projector: Arc<Projector>, shutdown: Shutdown) -> Result<(), TaskFailed> {
    let folds = ReleaseFolds::of(projector.projections.iter().map(|it| (it.name, it.version)));
    let (running, shards) = (BTreeMap::new(), Shards::new());
    let mut sharing = Sharing { projector, folds, session: None, running, shards };
    let mut beats = interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = beats.tick() => sharing.beat(&shutdown).await,
            Some(ended) = sharing.shards.next() => sharing.ended(ended?).await?,
            () = shutdown.requested() => break,
        }
    }
    while let Some(ended) = sharing.shards.next().await {
        ended?.1?;
    }
    Ok(())
}

impl Sharing {
    /// Says that this projector lives, and takes or gives what its share asks for.
    async fn beat(&mut self, shutdown: &Shutdown) {
        if let Err(error) = self.try_beat(shutdown).await {
            warn!("cannot share the shards with other projectors: {}", chain(&error));
            // Its locks are free, or will be in a moment. The shards go on all the same, for without
            // PostgreSQL they write nothing either.
            self.session = None;
        }
    }

    async fn try_beat(&mut self, shutdown: &Shutdown) -> Result<(), sqlx::Error> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.begin().await?,
        };
        let shards = self.projector.shared.log.shard_count();
        let members = session.members().await?;
        self.projector.cede(self.folds.ceded(&members));
        let share = share(shards, &self.folds.peers(&members), session.id());
        let ending = self.running.values().filter(|stop| stop.is_requested()).count();
        let mut serving = self.running.len() - ending;
        for (shard, stop) in self.running.iter().rev().filter(|(_, stop)| !stop.is_requested()) {
            if serving > share {
                emit(ShardMoved { shard: *shard, is_ours: false });
                stop.request();
                serving -= 1;
            }
        }
        for shard in (0..shards).map(ShardId::new) {
            if serving < share && !self.running.contains_key(&shard) && session.lock(shard).await? {
                self.start(shard, shutdown);
                serving += 1;
            }
        }
        self.session = Some(session);
        Ok(())
    }

    /// A new session, which locks what runs already. What others have locked meanwhile is theirs.
    async fn begin(&self) -> Result<Session, sqlx::Error> {
        let mut session = Session::begin(&self.projector.shared.pool, &self.folds).await?;
        for (shard, stop) in &self.running {
            if !session.lock(*shard).await? {
                emit(ShardMoved { shard: *shard, is_ours: false });
                stop.request();
            }
        }
        Ok(session)
    }

    fn start(&mut self, shard: ShardId, shutdown: &Shutdown) {
        emit(ShardMoved { shard, is_ours: true });
        let (projector, stop) = (Arc::clone(&self.projector), shutdown.child());
        self.running.insert(shard, stop.clone());
        self.shards.push(task::spawn("projector shard", async move {
            (shard, groups::run(projector, shard, stop).await)
        }));
    }

    /// A shard that was given up has written its last batch: now it is somebody else's.
    async fn ended(&mut self, ended: (ShardId, Result<(), TaskFailed>)) -> Result<(), TaskFailed> {
        let (shard, result) = ended;
        self.running.remove(&shard);
        if let Some(session) = &mut self.session
            && let Err(error) = session.unlock(shard).await
        {
            warn!("cannot share the shards with other projectors: {}", chain(&error));
            self.session = None;
        }
        result
    }
}

/// A shard has become this projector's, or is another's from now on.
struct ShardMoved {
    shard: ShardId,
    is_ours: bool,
}

impl Event for ShardMoved {
    fn emit(self) {
        let Self { shard, is_ours } = self;
        SHARDS.set(&[("shard", shard.to_string())], is_ours.into());
        info!(shard.id = %shard, "{} shard {shard}", if is_ours { "takes" } else { "gives up" });
    }
}
