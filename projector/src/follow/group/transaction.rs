//! One transaction for all that stand level: their checkpoints, the rows of those for which the batch
//! holds events, and what query nodes are told.
//!
//! **Invariant:** it begins with the compare-and-set of all checkpoints and writes nothing unless all of
//! them move, so whoever is in the group is folded exactly once, like somebody who is alone
//! (`store/checkpoints.rs`). Each member's batch is made with its own dead letters, whose count is part of its
//! compare-and-set.
//!
//! **Invariant:** nothing is told before it is committed, for the notification is part of the transaction.
//! It goes out when the commit is on the disk, so what was told does not go back, also over a crash of the
//! server. PostgreSQL has transactions that notify commit one after another, all databases together; that
//! is one for each shard and batch here. **Whoever turns `synchronous_commit` off for this role breaks that
//! promise**: then positions must be told later, when the server has flushed them.

use std::{io::ErrorKind, time::Duration};

use futures_util::TryFutureExt;
use infra::{
    postgres::{Pool, errors::ends_session},
    telemetry::emit,
};
use sqlx::{Executor, PgConnection, Postgres, pool::PoolConnection};
use tokio::time::{Instant, timeout};

use crate::{
    apply::{
        batch::{Batch, Failed},
        events::Applied,
        shared::Shared,
        write::{Care, Writer},
    },
    event::Commit,
    fold::stored::KeptRows,
    store::{
        checkpoints::{Held, Member, advance},
        letters::NewlyParked,
    },
};

/// Why a batch is not in, or is not known to be in.
#[derive(Debug)]
pub(super) enum Setback {
    /// The checkpoints of these have not moved, by their indexes; so none has.
    Unmoved(Vec<usize>),
    /// This one's events do not apply, or its statements do not work.
    Fault(usize, Failed),
    /// It is nobody's fault, and the last statement may have been the commit.
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Setback {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// What a batch was for one member: how many events, what of them is parked, and how long that took.
type Part = (usize, NewlyParked, Duration);

/// Beginning does nothing.
const BEGIN_WAIT_MAX: Duration = Duration::from_secs(3);
/// The server stops each statement long before. One that has vanished without a word does not.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);

/// Transactions that notify commit one after another, each waiting for the disk; that is no lock that
/// somebody else holds for long. One message: an answer more would cost as much.
const COMMIT: &str = "SET LOCAL lock_timeout = '5s'; COMMIT";

/// A connection that a group keeps from one batch to the next: the pool would ask the server twice a
/// batch whether it is still there.
pub(super) type Kept = Option<PoolConnection<Postgres>>;

/// Writes a batch for all members, and tells how long each has taken.
pub(super) async fn write(
    shared: &Shared,
    connection: &mut Kept,
    members: &mut [Writer],
    commits: &[Commit],
) -> Result<Vec<Duration>, Setback> {
    loop {
        let was_kept = connection.is_some();
        let mut own = match connection.take() {
            Some(kept) => kept,
            None => shared.batches.acquire().await?,
        };
        match answered(BEGIN_WAIT_MAX, own.execute("BEGIN").map_err(Setback::from)).await {
            Ok(_) => {}
            // The server has gone since, and may be there again. Nothing has happened.
            Err(Setback::Database(error)) if was_kept && ends_session(&error) => {
                drop(own.detach());
                continue;
            }
            Err(setback) => {
                drop(own.detach());
                return Err(setback);
            }
        }
        let written = answered(ANSWER_WAIT_MAX, write_in(&mut own, members, commits)).await;
        match &written {
            Ok(_) if may_keep(&shared.batches) => *connection = Some(own),
            Ok(_) => {}
            // Its locks must be gone before the next try, and nobody must get what is in the middle of
            // something.
            Err(_) => {
                let ended =
                    answered(BEGIN_WAIT_MAX, own.execute("ROLLBACK").map_err(Setback::from));
                if ended.await.is_err() {
                    drop(own.detach());
                }
            }
        }
        return written;
    }
}

async fn answered<T>(
    wait_max: Duration,
    answer: impl Future<Output = Result<T, Setback>>,
) -> Result<T, Setback> {
    let late = || Setback::Database(sqlx::Error::Io(ErrorKind::TimedOut.into()));
    timeout(wait_max, answer).await.unwrap_or_else(|_| Err(late()))
}

/// Unless all are in use: other groups may wait for one.
fn may_keep(pool: &Pool) -> bool {
    pool.num_idle() > 0 || pool.size() < pool.options().get_max_connections()
}

/// In a transaction that has begun.
async fn write_in(
    tx: &mut PgConnection,
    members: &mut [Writer],
    commits: &[Commit],
) -> Result<Vec<Duration>, Setback> {
    let Some(last) = commits.last() else { return Ok(Vec::new()) };
    let began = Instant::now();
    // They are what is stored if this goes through, and are gone otherwise.
    let mut kept: Vec<_> = members.iter_mut().map(Writer::take_kept).collect();
    let parts = put(tx, members, commits, last, &mut kept).await?;
    sqlx::raw_sql(COMMIT).execute(tx).await?;
    let taken = parts.iter().map(|(.., took)| *took).collect();
    for ((member, (events, added, _)), kept) in members.iter_mut().zip(parts).zip(kept) {
        member.has_written(last.checkpoint, added, kept);
        emit(Applied { projection: member.row.projection, events, took: began.elapsed() });
    }
    Ok(taken)
}

async fn put(
    tx: &mut PgConnection,
    members: &[Writer],
    commits: &[Commit],
    last: &Commit,
    kept: &mut [KeptRows],
) -> Result<Vec<Part>, Setback> {
    let rows: Vec<Member> = members.iter().map(Writer::compared).collect();
    // All of them stand where the first one does.
    let Some(step) = members.first().map(|first| first.step(last)) else { return Ok(Vec::new()) };
    let held = advance(tx, &rows, &step, Held::PassedOver).await?;
    let is_unmoved = |(_, (row, _)): &(usize, &Member)| !held.iter().any(|it| it == row.projection);
    let unmoved: Vec<_> = (0..).zip(&rows).filter(is_unmoved).map(|(index, _)| index).collect();
    if !unmoved.is_empty() {
        return Err(Setback::Unmoved(unmoved));
    }
    let commits: Vec<&Commit> = commits.iter().collect();
    let mut parts = Vec::with_capacity(members.len());
    for (index, (member, kept)) in members.iter().zip(kept).enumerate() {
        let began = Instant::now();
        let batch = Batch::of(&commits, member.projection, &member.dead_letters);
        let (events, mut added) = (batch.events.len(), NewlyParked::default());
        if !batch.is_empty() {
            let put = member.put(tx, &batch, Care::Trusting(kept)).await;
            added = put.map_err(|failed| blame(index, failed))?.added();
        }
        parts.push((events, added, began.elapsed()));
    }
    Ok(parts)
}

/// Whose fault it is.
fn blame(index: usize, failed: Failed) -> Setback {
    match failed {
        Failed::Database(error) if ends_session(&error) => Setback::Database(error),
        failed => Setback::Fault(index, failed),
    }
}
