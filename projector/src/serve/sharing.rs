//! Shares the shards among the projectors that live.
//!
//! Each projector has a session of its own at PostgreSQL, and in it an advisory lock that says that
//! it lives and one for each shard that it serves. The server lets go of them with the session: at
//! once when the process dies, and after a second and a half without a word when it is stopped or cut
//! off. A projector that serves less than its share tries to lock more; one that serves more lets
//! go. Members are ranked alike by all, so the shares add up to all shards. Projectors of another
//! release have shares of their own (`shares`).
//!
//! **Invariant:** correctness does not depend on it. If two projectors serve one shard, the
//! checkpoint's compare-and-set lets one of them pass. While PostgreSQL is away each goes on with its shards.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use domain::shard::ShardId;
use futures_util::{StreamExt, stream::FuturesUnordered};
use infra::{
    shutdown::Shutdown,
    task::{self, Task, TaskFailed},
    telemetry::{Event, chain, emit, metric::Gauge},
};
use sqlx::{Connection, PgConnection, PgPool};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{info, warn};

use super::{
    groups::{self, Projector},
    shares::{Member, ReleaseFolds, share},
};
use crate::rows::shard_column;

static SHARDS: Gauge = Gauge::new(
    "tradewind_projector_shard_served",
    "1 where this projector serves the shard, by shard",
);

/// How often a projector says that it lives and looks at what others serve.
const BEAT: Duration = Duration::from_millis(250);
/// The server ends a session that says nothing for so long, and with it its locks.
const SILENCE_MAX: &str = "1500ms";
/// How long the server may take to answer; a session that is late is as good as ended.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(1);

/// First halves of the keys of advisory locks; the second is the member's id, or the shard.
///
/// A member publishes its folds as locks with one key, whose halves are a fold and the member's id.
const MEMBER_LOCKS: i32 = 0x7472_6d62;
const SHARD_LOCKS: i32 = 0x7472_7368;

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
            _ = beats.tick() => {
                if let Err(error) = sharing.beat(&shutdown).await {
                    sharing.lose_session(&error);
                }
            }
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
    async fn beat(&mut self, shutdown: &Shutdown) -> Result<(), sqlx::Error> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.begin().await?,
        };
        let shards = self.projector.shared.log.shard_count();
        let members = session.members().await?;
        self.projector.cede(self.folds.ceded(&members));
        let share = share(shards, &self.folds.peers(&members), session.id);
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
            self.lose_session(&error);
        }
        result
    }

    /// Its locks are free, or will be in a moment. The shards go on all the same, for without PostgreSQL
    /// they write nothing either.
    fn lose_session(&mut self, error: &sqlx::Error) {
        warn!("cannot share the shards with other projectors: {}", chain(error));
        self.session = None;
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

/// Dropping it ends the session, and with it its locks.
struct Session {
    connection: PgConnection,
    /// Which of the server's sessions it is.
    id: i64,
    release: u16,
}

impl Session {
    /// Says that it lives, and what it feeds.
    async fn begin(pool: &PgPool, folds: &ReleaseFolds) -> Result<Self, sqlx::Error> {
        let options = pool.connect_options().as_ref().clone();
        let options = options
            .application_name("tradewind-projector-shards")
            .options([("idle_session_timeout", SILENCE_MAX)]);
        in_time(async {
            let mut connection = PgConnection::connect_with(&options).await?;
            // The folds first, so that a member which others can see is seen with all of them.
            sqlx::query(
                "SELECT pg_try_advisory_lock((fold << 32) | pg_backend_pid())
                 FROM unnest($1::bigint[]) AS fold",
            )
            .bind(folds.numbers())
            .execute(&mut connection)
            .await?;
            let id = sqlx::query_scalar(
                "SELECT id::bigint FROM (SELECT pg_backend_pid() AS id) AS own
                 WHERE pg_try_advisory_lock($1, id)",
            )
            .bind(MEMBER_LOCKS)
            .fetch_one(&mut connection)
            .await?;
            Ok(Self { connection, id, release: folds.release() })
        })
        .await
    }

    /// All projectors that live, in order of their ids.
    async fn members(&mut self) -> Result<Vec<Member>, sqlx::Error> {
        // `objsubid` 2: a lock with two keys; 1: with one.
        let members = sqlx::query_as(
            "WITH locks AS (
                SELECT classid::bigint AS class, objid::bigint AS object, objsubid
                FROM pg_locks
                WHERE locktype = 'advisory' AND granted
                    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
             )
             SELECT members.object AS id, array_agg(feeds.class ORDER BY feeds.class) AS feeds
             FROM locks AS members JOIN locks AS feeds USING (object)
             WHERE members.class = $1 AND members.objsubid = 2 AND feeds.objsubid = 1
             GROUP BY id ORDER BY id",
        )
        .bind(i64::from(MEMBER_LOCKS))
        .fetch_all(&mut self.connection);
        in_time(members).await
    }

    /// False if another projector has it.
    async fn lock(&mut self, shard: ShardId) -> Result<bool, sqlx::Error> {
        self.ask("SELECT pg_try_advisory_lock($1, $2)", shard).await
    }

    async fn unlock(&mut self, shard: ShardId) -> Result<bool, sqlx::Error> {
        self.ask("SELECT pg_advisory_unlock($1, $2)", shard).await
    }

    async fn ask(&mut self, sql: &'static str, shard: ShardId) -> Result<bool, sqlx::Error> {
        // A release takes shards from nobody but itself.
        let key = shard_column(shard) | (i32::from(self.release & 0x7fff) << 16);
        let answer = sqlx::query_scalar(sql).bind(SHARD_LOCKS).bind(key);
        in_time(answer.fetch_one(&mut self.connection)).await
    }
}

async fn in_time<T>(
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let late = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
    timeout(ANSWER_WAIT_MAX, answer).await.map_err(late)?
}
