//! Proofs that the rows of a version are what the log makes of them.
//!
//! One transaction sees rows and checkpoints at one moment. The log is then folded once more up to
//! those checkpoints, event by event, with nothing of what writes them: no batches, no stored rows to
//! begin with, no SQL that writes. What comes out is compared with what is stored, row by row.
//!
//! Requests wait in a table; any projector of the right release takes the next one. If it dies,
//! another one begins that request anew.
//!
//! **Invariant:** a verification that has ended stays ended, even if a projector still works on it.
//!
//! **Invariant:** memory is bounded, whatever the number of rows: the keys are taken in parts, and
//! the log is read once for each part.

mod compare;

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use domain::shard::ShardId;
use futures_util::TryStreamExt;
use infra::{
    log::{Checkpoint, EventLog, EventRecord, ReadError, follow::Follower},
    postgres::{Pool, errors::is_transient},
    shutdown::Shutdown,
    telemetry::{Event, chain, emit, metric::Counter},
};
use read_models::{EntryTable, Fold, Projection, Table};
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Transaction, types::Json};
use tokio::{
    task::yield_now,
    time::{Instant, timeout},
};
use tracing::{error, info};

use compare::Comparing;

use crate::{
    event::Commit,
    fold::expected::{Columns, Expected, Made, Part, key_of},
    rows::shard_column,
    store::{
        checkpoints::all_of,
        letters::{Corrections, first_parked},
        verifications::{Report, Verification, VerificationState},
        versions::{Version, fold_of, lock_key, schema_of},
    },
};

const INTERVAL: Duration = Duration::from_millis(500);
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
/// Records of the log that are read at once.
const RECORDS_MAX: usize = 2_000;
/// A snapshot may be looked at for so long; vacuum waits for it.
const PATIENT: &str = "SET LOCAL statement_timeout = '6h';
    SET LOCAL idle_in_transaction_session_timeout = '6h'";
/// Text of the rows of one part. In memory they take some five times of that.
const PART_BYTES_MAX: i64 = 32 << 20;
/// Without rows to measure there is one part; more than this is no help.
const PARTS_MAX: i64 = 10_000;

static VERIFICATIONS: Counter = Counter::new(
    "tradewind_projector_verifications_total",
    "Verifications that have ended, by projection and result",
);

/// What a verification is done with.
pub(crate) struct Verifier {
    pub log: Arc<dyn EventLog>,
    pub pool: Pool,
    pub projections: Vec<Projection>,
}

/// Runs until the shutdown.
pub(crate) async fn run(verifier: Verifier, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = shutdown.requested() => return,
            () = take_all(&verifier) => {}
        }
        timeout(INTERVAL, shutdown.requested()).await.ok();
    }
}

async fn take_all(verifier: &Verifier) {
    let pool = &verifier.pool;
    // While PostgreSQL is away batches report it; here it is enough to try again later.
    let (Ok(waiting), Ok(versions)) =
        (Verification::unfinished(pool).await, Version::all(pool).await)
    else {
        return;
    };
    for verification in waiting {
        let version = versions.iter().find(|version| {
            version.projection == verification.projection && version.version == verification.version
        });
        let ended = match version {
            None => Err(Failed::Gone),
            Some(version) => match fold_of(&verifier.projections, version) {
                Some(fold) => verify(verifier, &verification, fold).await,
                None => continue,
            },
        };
        match &ended {
            // What passes leaves it in line.
            Err(Failed::Elsewhere | Failed::Log(ReadError::Unavailable(_))) => {}
            Err(Failed::Database(error)) if is_transient(error) => {}
            _ => settle(pool, &verification, &ended).await,
        }
    }
}

/// A verification has ended.
struct Verified<'v> {
    projection: &'v str,
    version: i32,
    result: &'static str,
    detail: &'v str,
}

impl Event for Verified<'_> {
    fn emit(self) {
        let Self { projection, version, result, detail } = self;
        VERIFICATIONS
            .add(&[("projection", projection.to_owned()), ("result", result.to_owned())], 1);
        if result == "equal" {
            info!(projection, version, "{projection} v{version} verified: {detail}");
        } else {
            error!(projection, version, "{projection} v{version} is {result}: {detail}");
        }
    }
}

/// Why a verification ends without a report.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("another projector is at it")]
    Elsewhere,
    #[error("the version has been dropped")]
    Gone,
    #[error("the log cannot be read")]
    Log(#[from] ReadError),
    #[error("PostgreSQL does not tell the rows")]
    Database(#[from] sqlx::Error),
}

async fn settle(pool: &Pool, verification: &Verification, ended: &Result<Report, Failed>) {
    let (state, report, problem) = match ended {
        Ok(report) if report.is_equal() => (VerificationState::Equal, Some(report), None),
        Ok(report) => (VerificationState::Different, Some(report), None),
        Err(failed) => (VerificationState::Failed, None, Some(chain(failed).to_string())),
    };
    let detail = report.map(Report::summary).or_else(|| problem.clone()).unwrap_or_default();
    let (projection, version) = (&*verification.projection, verification.version);
    emit(Verified { projection, version, result: state.as_str(), detail: &detail });
    // If this fails, the verification is still in line, and is done once more.
    verification.finish(pool, state, report, problem.as_deref()).await.ok();
}

async fn verify(
    verifier: &Verifier,
    verification: &Verification,
    projection: &Projection,
) -> Result<Report, Failed> {
    let (name, version) = (&*verification.projection, verification.version);
    let mut tx = snapshot(&verifier.pool, verification).await?;
    let schema = schema_of(name, version);
    let ends = all_of(&mut tx, name, version).await?;
    let parts = Parts::plan(&mut tx, &schema, projection, verification.sample).await?;
    // What waits has not been applied, and what operators have corrected is read as they said.
    let parked = first_parked(&mut tx, name, version).await?;
    let mut corrections = Vec::new();
    for (shard, _) in &ends {
        corrections.push(Corrections::load(&mut *tx, name, version, *shard).await?);
    }
    let mut report = Report { stopped: count(parked.len()), ..Report::default() };
    let mut progress = Progress::new(verification, &ends, parts.taken);
    let mut expected: Vec<_> = projection.folds.iter().map(Expected::of).collect();
    for part in 0..parts.taken {
        for ((shard, end), corrections) in ends.iter().zip(&corrections) {
            // Of the same log, or what it makes says nothing about the rows.
            let start = Checkpoint { log_id: end.log_id, ..Checkpoint::START };
            let mut log = Follower::open(&*verifier.log, *shard, Some(start)).await?;
            log.want_only(&projection.streams());
            while log.checkpoint().next_offset < end.next_offset {
                let before = log.next_offset();
                for commit in log.next(RECORDS_MAX).await? {
                    if commit.next_offset > end.next_offset {
                        break;
                    }
                    let is_read = |record: &EventRecord| {
                        let waits = parked.get(record.stream.as_str());
                        projection.wants(&record.stream)
                            && waits.is_none_or(|from| commit.next_offset < *from)
                            && parts.has(part, record.stream.key())
                    };
                    let commit = Commit::decode(end.log_id, &commit, is_read);
                    for event in commit.events.iter().filter_map(|it| corrections.apply(it)) {
                        report.events += 1;
                        let stream = event.event.stream.stream_type();
                        for expected in &mut expected {
                            if Some(expected.fold.stream) == stream {
                                expected.take(&event, shard_column(*shard));
                            }
                        }
                    }
                }
                progress.pass(&verifier.pool, log.next_offset() - before).await?;
                // Decoding takes no pause of its own, and others share the thread.
                yield_now().await;
            }
        }
        let mut entries: BTreeMap<&str, Made> = BTreeMap::new();
        for expected in &mut expected {
            let Part { rows, entries: more, stopped } = expected.end_part()?;
            report.stopped += count(stopped);
            for (table, rows) in more {
                let all = entries.entry(table.name).or_insert((table, BTreeMap::new()));
                all.1.extend(rows);
            }
            if let Some(made) = rows {
                parts.compare(&mut tx, &schema, part, made, &mut report).await?;
            }
        }
        for made in entries.into_values() {
            parts.compare(&mut tx, &schema, part, made, &mut report).await?;
        }
    }
    // Rows that many streams share are complete when all streams are.
    if parts.taken == parts.count {
        for made in expected.into_iter().flat_map(Expected::into_shared) {
            compare(&mut tx, &schema, made, |_| true, &mut report).await?;
        }
    }
    Ok(report)
}

/// Holds what was made for a table against those of its rows that are `own`.
async fn compare(
    tx: &mut PgConnection,
    schema: &str,
    (table, rows): Made,
    own: impl Fn(&Columns) -> bool,
    report: &mut Report,
) -> Result<(), sqlx::Error> {
    let mut comparing = Comparing::new(&table, rows);
    let stored = format!("SELECT to_jsonb(kept) FROM {schema}.{} AS kept", table.name);
    let mut stored = sqlx::query_scalar(AssertSqlSafe(stored)).fetch(tx);
    while let Some(Json(row)) = stored.try_next().await? {
        if own(&row) {
            comparing.found(row, report);
        }
    }
    comparing.finish(report);
    Ok(())
}

/// One moment of all tables, and the right to look at them for this verification.
async fn snapshot(
    pool: &Pool,
    verification: &Verification,
) -> Result<Transaction<'static, Postgres>, Failed> {
    let mut tx = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    sqlx::raw_sql(PATIENT).execute(&mut *tx).await?;
    let free: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)")
        .bind(lock_key(&format!("verification {}", verification.id)))
        .fetch_one(&mut *tx)
        .await?;
    if free { Ok(tx) } else { Err(Failed::Elsewhere) }
}

/// The keys in parts that fit into memory; or one part, as a sample.
struct Parts {
    hasher: RandomState,
    count: u64,
    /// So many of them are looked at.
    taken: u64,
}

impl Parts {
    async fn plan(
        tx: &mut PgConnection,
        schema: &str,
        projection: &Projection,
        sample: Option<i32>,
    ) -> Result<Self, sqlx::Error> {
        let (mut rows, mut bytes) = (0, 0);
        let entries = projection.entries().into_iter().map(EntryTable::table);
        let rows_of_streams = projection.folds.iter().filter_map(Fold::table);
        for Table { name, .. } in rows_of_streams.chain(entries) {
            let size = format!(
                "SELECT count(*), coalesce(sum(octet_length(kept::text)), 0)::bigint
                 FROM {schema}.{name} AS kept"
            );
            let size = sqlx::query_as(AssertSqlSafe(size)).fetch_one(&mut *tx).await?;
            let (more_rows, more_bytes): (i64, i64) = size;
            (rows, bytes) = (rows + more_rows, bytes + more_bytes);
        }
        let count = match sample {
            Some(sample) => (rows / i64::from(sample)).max(1),
            None => (bytes / PART_BYTES_MAX + 1).min(PARTS_MAX),
        };
        let count = u64::try_from(count).unwrap_or(1);
        let taken = if sample.is_some() { 1 } else { count };
        Ok(Self { hasher: RandomState::new(), count, taken })
    }

    /// Holds what was made of the streams of a part against their rows. In each of those tables the key
    /// of the stream is the first column.
    async fn compare(
        &self,
        tx: &mut PgConnection,
        schema: &str,
        part: u64,
        made: Made,
        report: &mut Report,
    ) -> Result<(), sqlx::Error> {
        let stream = Table { keys: 1, ..made.0.clone() };
        let own = |row: &Columns| self.has(part, &key_of(&stream, row));
        compare(tx, schema, made, own, report).await
    }

    fn has(&self, part: u64, key: &str) -> bool {
        self.count == 1 || self.hasher.hash_one(key) % self.count == part
    }
}

/// Tells those who wait how far it is.
struct Progress<'v> {
    verification: &'v Verification,
    all: i64,
    passed: i64,
    told_at: Instant,
}

impl<'v> Progress<'v> {
    fn new(verification: &'v Verification, ends: &[(ShardId, Checkpoint)], parts: u64) -> Self {
        let once: i64 = ends.iter().map(|(_, end)| end.next_offset).sum();
        let all = once.saturating_mul(i64::try_from(parts).unwrap_or(i64::MAX)).max(1);
        Self { verification, all, passed: 0, told_at: Instant::now() - PROGRESS_INTERVAL }
    }

    /// Fails as well if another projector has ended the verification.
    async fn pass(&mut self, pool: &Pool, records: i64) -> Result<(), Failed> {
        self.passed += records;
        if self.told_at.elapsed() >= PROGRESS_INTERVAL {
            self.told_at = Instant::now();
            let progress = (self.passed as f64 / self.all as f64).min(1.0);
            if !self.verification.set_progress(pool, progress).await? {
                return Err(Failed::Elsewhere);
            }
        }
        Ok(())
    }
}

fn count(many: usize) -> u64 {
    u64::try_from(many).unwrap_or(u64::MAX)
}
