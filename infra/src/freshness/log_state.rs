//! The state of the log as projectors have seen it: how many shards it has, where they end, and how
//! fresh that makes each read model.

use std::{collections::BTreeMap, time::Duration};

use domain::{
    id::StreamId,
    shard::{ShardId, shard_of},
};
use tokio::time::Instant;

use super::positions::{PositionRow, Projection};
use crate::{
    http::problem::Problem,
    log::Offset,
    position::{Entry, Position},
};

/// Records that a shard gains in a second at most, far more than any log takes: a position beyond
/// that was given out by nobody.
const GROWTH_MAX: Offset = 1_000_000;
/// Between a look and its being known here.
const LOOK_WAIT_MAX: Duration = Duration::from_secs(10);

/// As of the last answer of the database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LogState {
    shard_count: Option<u32>,
    ends: BTreeMap<ShardId, End>,
    level: BTreeMap<(Projection, ShardId), Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    offset: Offset,
    seen_at: Instant,
}

/// No answer can have carried the position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Impossible {
    #[error("the position is of another log than the one that is read here; begin without it")]
    UnknownLog,
    #[error("the log has no such position: send back what an answer carried, unchanged")]
    NotThere,
}

impl From<Impossible> for Problem {
    fn from(impossible: Impossible) -> Self {
        let code = match impossible {
            Impossible::UnknownLog => "unknown_log",
            Impossible::NotThere => "invalid_position",
        };
        Self::bad_request(code, impossible.to_string())
    }
}

impl LogState {
    /// `asked_at`: before the database was asked for the rows.
    pub(super) fn of(
        projections: &'static [Projection],
        rows: &[PositionRow],
        asked_at: Instant,
    ) -> Self {
        let mut state = Self::default();
        for row in rows {
            let Ok(shard) = u32::try_from(row.shard).map(ShardId::new) else { continue };
            let count = row.shard_count.and_then(|count| u32::try_from(count).ok());
            state.shard_count = state.shard_count.max(count);
            if let Some(seen_at) = ago(asked_at, row.end_seconds) {
                let end = state.ends.entry(shard).or_insert(End { offset: 0, seen_at });
                end.offset = end.offset.max(row.log_end);
            }
            let projection = Projection::find(projections, &row.projection);
            if let (Some(projection), Some(at)) = (projection, ago(asked_at, row.level_seconds)) {
                state.level.insert((projection, shard), at);
            }
        }
        state
    }

    /// The shard of a stream, once it is known how many there are.
    pub(super) fn shard_of(&self, stream: &StreamId) -> Option<ShardId> {
        Some(shard_of(stream, self.shard_count?))
    }

    /// A moment before which everything has been applied.
    pub(super) fn level_at(&self, projection: Projection, shard: ShardId) -> Option<Instant> {
        self.level.get(&(projection, shard)).copied()
    }

    /// Whether all of the position may exist, by what is known of the log.
    pub(super) fn check(&self, wanted: &Position, now: Instant) -> Result<(), Impossible> {
        let may_exist = |entry: Entry| {
            let is_shard = self.shard_count.is_none_or(|count| entry.shard.index() < count);
            let is_far = self.ends.get(&entry.shard).is_some_and(|end| {
                let age = now.saturating_duration_since(end.seen_at) + LOOK_WAIT_MAX;
                let growth =
                    GROWTH_MAX.saturating_mul(age.as_secs().try_into().unwrap_or(i64::MAX));
                entry.next_offset > end.offset.saturating_add(growth)
            });
            is_shard && !is_far
        };
        if wanted.entries().all(may_exist) { Ok(()) } else { Err(Impossible::NotThere) }
    }
}

fn ago(at: Instant, seconds: Option<f64>) -> Option<Instant> {
    // A clock that was set back makes nothing newer than now.
    at.checked_sub(Duration::try_from_secs_f64(seconds?.max(0.0)).ok()?)
}
