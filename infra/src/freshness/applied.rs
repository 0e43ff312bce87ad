//! What is applied, and whether it is enough. Pure: what comes in has been read elsewhere.

use std::collections::BTreeMap;

use domain::shard::ShardId;
use serde::Deserialize;
use tokio::time::Instant;

use super::{
    log_state::{Impossible, LogState},
    positions::{PositionRow, Projection},
};
use crate::{
    log::{LogId, Offset},
    position::{Entry, Position},
};

/// How far the live version of each projection is, as last heard.
///
/// **Invariant:** within a version and a log an offset never falls, in whatever order notices arrive.
/// [`Applied::replace`] alone changes the version or the log, because only the database knows which
/// of them is live.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Those that are read here. Others exist; nobody waits for them.
    projections: &'static [Projection],
    live: BTreeMap<Projection, Live>,
    pub(super) log: LogState,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Live {
    version: i32,
    shards: BTreeMap<ShardId, Entry>,
}

/// The payload of a projector's notification: one batch of a shard, whoever it was for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Notice {
    projection: String,
    version: i32,
    shard: ShardId,
    log_id: LogId,
    next_offset: Offset,
    /// The others that one transaction has taken as far. Nodes of earlier releases pass over them, and
    /// learn of them when they ask the database.
    #[serde(default)]
    with: Vec<(String, i32)>,
}

/// What projectors notify.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Notification {
    Applied(Notice),
    /// Readers see another version of this projection.
    Switched {
        switched: String,
    },
}

/// A version in a log that is not the one that is read, as far as is known.
pub(super) type OtherVersion = (String, i32, LogId);

/// What a notice changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// Some projection that is read has come further.
    pub(super) moved: bool,
    /// Versions or logs that are not the ones that are read, as far as is known: only the database can
    /// tell.
    pub(super) unknown: Vec<OtherVersion>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coverage {
    Reached,
    Behind,
}

impl Notice {
    /// The versions that have come as far.
    fn versions(&self) -> impl Iterator<Item = (&str, i32)> {
        let others = self.with.iter().map(|(projection, version)| (&**projection, *version));
        others.chain([(&*self.projection, self.version)])
    }
}

impl Applied {
    /// The state by the rows of the database, which were read after all notices so far, and after
    /// `asked_at`.
    pub(crate) fn replace(
        projections: &'static [Projection],
        rows: &[PositionRow],
        asked_at: Instant,
    ) -> Self {
        let log = LogState::of(projections, rows, asked_at);
        let mut applied = Self { projections, live: BTreeMap::new(), log };
        for row in rows {
            let Some(projection) = Projection::find(projections, &row.projection) else { continue };
            let live = applied.live.entry(projection).or_default();
            live.version = row.version;
            // A shard without a log has nothing applied yet.
            live.shards.extend(entry(row).map(|entry| (entry.shard, entry)));
        }
        applied
    }

    pub(super) fn advance(&mut self, notice: &Notice) -> Heard {
        let mut heard = Heard::default();
        for (name, version) in notice.versions() {
            // Nobody waits for another.
            let Some(projection) = Projection::find(self.projections, name) else { continue };
            match self.advance_one(projection, version, notice) {
                Some(moved) => heard.moved |= moved,
                None => heard.unknown.push((name.to_owned(), version, notice.log_id)),
            }
        }
        heard
    }

    /// Whether that was news; nothing is known of another version or log.
    fn advance_one(
        &mut self,
        projection: Projection,
        version: i32,
        notice: &Notice,
    ) -> Option<bool> {
        let live = self.live.get_mut(&projection).filter(|it| it.version == version)?;
        let Notice { shard, log_id, next_offset, .. } = *notice;
        let heard = Entry { shard, log_id, next_offset };
        let known = live.shards.entry(shard).or_insert(Entry { next_offset: 0, ..heard });
        if known.log_id != heard.log_id {
            return None;
        }
        let moved = known.next_offset < heard.next_offset;
        if moved {
            *known = heard;
        }
        Some(moved)
    }

    /// Whether each of the projections has applied everything that is wanted.
    pub(super) fn coverage(
        &self,
        projections: &[Projection],
        wanted: &Position,
        now: Instant,
    ) -> Result<Coverage, Impossible> {
        self.log.check(wanted, now)?;
        let mut coverage = Coverage::Reached;
        for projection in projections {
            for entry in wanted.entries() {
                match self.entry(*projection, entry.shard) {
                    Some(applied) if applied.log_id != entry.log_id => {
                        return Err(Impossible::UnknownLog);
                    }
                    Some(applied) if applied.next_offset >= entry.next_offset => {}
                    Some(_) | None => coverage = Coverage::Behind,
                }
            }
        }
        Ok(coverage)
    }

    /// What all of the projections have applied. A shard in which one of them has not begun, or
    /// follows another log, is left out.
    pub(super) fn position(&self, projections: &[Projection]) -> Position {
        let mut position = Position::default();
        let Some((first, others)) = projections.split_first() else { return position };
        let shards = self.live.get(first).into_iter().flat_map(|live| live.shards.values());
        for &entry in shards {
            let common = others.iter().try_fold(entry, |least, other| {
                let entry = self.entry(*other, entry.shard)?;
                let next_offset = entry.next_offset.min(least.next_offset);
                (entry.log_id == least.log_id).then_some(Entry { next_offset, ..least })
            });
            if let Some(Entry { shard, log_id, next_offset }) = common {
                position.merge(&Position::of(shard, log_id, next_offset));
            }
        }
        position
    }

    /// Whether a projection has a live version; `None` if nothing has.
    pub(super) fn is_live(&self, projection: Projection) -> Option<bool> {
        (!self.live.is_empty()).then(|| self.live.contains_key(&projection))
    }

    /// How far a projection is in a shard.
    pub(super) fn entry(&self, projection: Projection, shard: ShardId) -> Option<Entry> {
        self.live.get(&projection)?.shards.get(&shard).copied()
    }
}

fn entry(row: &PositionRow) -> Option<Entry> {
    let shard = ShardId::new(u32::try_from(row.shard).ok()?);
    let log_id = row.log_id.as_deref()?.parse().ok()?;
    Some(Entry { shard, log_id, next_offset: row.next_offset })
}

#[cfg(test)]
mod tests;
