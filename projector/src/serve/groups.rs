//! Everything that is to be fed in one shard: the live versions together, every other by itself.
//!
//! The live ones share one reading of the log. A version that is built, or that stands by, reads on
//! its own, so that it can be slow, poisonous or far behind without holding up what is read.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

use domain::shard::ShardId;
use futures_util::future::select_all;
use infra::{
    shutdown::Shutdown,
    task::{self, Task, TaskFailed},
};
use read_models::Projection;
use tokio::sync::watch;

use crate::{
    apply::shared::Shared,
    follow,
    rebuild::copy,
    store::{
        versions::{Served, Version, VersionState, fold_of},
        watch::Watch,
    },
};

/// What all shards of a projector work with.
pub(crate) struct Projector {
    /// How the live versions are fed; others get a copy of their own.
    pub shared: Shared,
    pub projections: Vec<Projection>,
    pub versions: Watch,
    /// Projections that a projector of another release can feed as well, and does.
    ceded: watch::Sender<BTreeSet<&'static str>>,
}

/// What is fed together, and how.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    how: How,
    /// By projection.
    versions: BTreeMap<&'static str, i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    /// All that are live together.
    Live,
    Beside,
    /// In bulk, so many events per second at most.
    Copying(Option<i32>),
}

struct Running {
    shared: Arc<Shared>,
    stop: Shutdown,
    task: Task<Result<(), TaskFailed>>,
}

/// Feeds what there is to feed until the shutdown.
pub(super) async fn run(
    projector: Arc<Projector>,
    shard: ShardId,
    shutdown: Shutdown,
) -> Result<(), TaskFailed> {
    let (mut versions, mut ceded) = (projector.versions.subscribe(), projector.ceded.subscribe());
    let mut running = BTreeMap::<Group, Running>::new();
    while !shutdown.is_requested() {
        let known = Arc::clone(&versions.borrow_and_update());
        let wanted = plan(&known, &projector.projections, &ceded.borrow_and_update());
        let over: Vec<_> =
            running.extract_if(.., |group, _| !wanted.contains(group)).map(|it| it.1).collect();
        end(over, shard).await?;
        for group in wanted {
            running
                .entry(group.clone())
                .or_insert_with(|| projector.start(&group, shard, shutdown.child()));
        }
        tokio::select! {
            changed = versions.changed() => if changed.is_err() { shutdown.requested().await },
            _ = ceded.changed() => {}
            // A group ends when it is told to, or with a panic.
            (group, ended) = any_end(&mut running), if !running.is_empty() => {
                running.remove(&group);
                ended??;
            }
            () = shutdown.requested() => {}
        }
    }
    end(running.into_values().collect(), shard).await
}

/// What this code can feed of the versions that there are, and nobody else does.
fn plan(
    versions: &[Version],
    projections: &[Projection],
    ceded: &BTreeSet<&'static str>,
) -> Vec<Group> {
    let mut live = BTreeMap::new();
    let mut groups = Vec::new();
    for version in versions {
        let Some(Projection { name, .. }) = fold_of(projections, version) else { continue };
        if ceded.contains(name) {
            continue;
        }
        let how = match version.state {
            VersionState::Live => {
                live.insert(*name, version.version);
                continue;
            }
            VersionState::Copying if !version.paused => How::Copying(version.throttle),
            VersionState::CatchingUp | VersionState::Standby if !version.paused => How::Beside,
            _ => continue,
        };
        groups.push(Group { how, versions: [(*name, version.version)].into() });
    }
    if !live.is_empty() {
        groups.push(Group { how: How::Live, versions: live });
    }
    groups
}

impl Projector {
    pub(crate) fn new(shared: Shared, projections: Vec<Projection>, versions: Watch) -> Self {
        Self { shared, projections, versions, ceded: watch::Sender::default() }
    }

    /// From now on these are another release's to feed, and all others ours.
    pub(super) fn cede(&self, projections: BTreeSet<&'static str>) {
        self.ceded.send_if_modified(|ceded| {
            let before = mem::replace(ceded, projections);
            before != *ceded
        });
    }

    fn start(&self, group: &Group, shard: ShardId, stop: Shutdown) -> Running {
        let served = group.versions.iter().filter_map(|(name, version)| {
            let projection = *self.projections.iter().find(|it| it.name == *name)?;
            Some(Served { projection, version: *version })
        });
        let served: Vec<_> = served.collect();
        let shared = Arc::new(match (group.how, &*served) {
            (How::Beside | How::Copying(_), [only]) => self.shared.beside(only.clone()),
            _ => self.shared.serving(served),
        });
        let (fed, stopped) = (Arc::clone(&shared), stop.clone());
        let task = match group.how {
            How::Copying(rate_max) => {
                task::spawn("projector copy", copy::run(fed, shard, rate_max, stopped))
            }
            How::Live | How::Beside => {
                task::spawn("projector shard", follow::run(fed, shard, stopped))
            }
        };
        Running { shared, stop, task }
    }
}

/// Waits for the first that ends; its task must not be polled again.
async fn any_end(
    running: &mut BTreeMap<Group, Running>,
) -> (Group, Result<Result<(), TaskFailed>, TaskFailed>) {
    let ends = running.iter_mut().map(|(group, running)| {
        let task = &mut running.task;
        Box::pin(async move { (group.clone(), task.await) })
    });
    select_all(ends).await.0
}

async fn end(running: Vec<Running>, shard: ShardId) -> Result<(), TaskFailed> {
    for running in &running {
        running.stop.request();
    }
    for Running { shared, task, .. } in running {
        task.await??;
        shared.leave(shard);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_versions_go_together_and_others_alone_whatever_other_code_made_is_left_to_it() {
        let known = [
            Version::sample("carts", 2, 7, VersionState::Live),
            Version::sample("orders", 1, 1, VersionState::Standby),
            Version::sample("orders", 2, 1, VersionState::Live),
            Version::sample("orders", 3, 1, VersionState::Copying),
            Version { paused: true, ..Version::sample("sales", 2, 1, VersionState::Copying) },
            Version::sample("stock", 1, 1, VersionState::Live),
            Version::sample("stock", 2, 1, VersionState::Indexing),
            Version::sample("unheard_of", 1, 1, VersionState::Live),
        ];
        let group =
            |how, versions: &[_]| Group { how, versions: versions.iter().copied().collect() };
        let expected = [
            group(How::Beside, &[("orders", 1)]),
            group(How::Copying(None), &[("orders", 3)]),
            group(How::Live, &[("orders", 2), ("stock", 1)]),
        ];
        assert_eq!(plan(&known, read_models::ALL, &BTreeSet::new()), expected);
        let ceded = BTreeSet::from(["stock"]);
        let live = group(How::Live, &[("orders", 2)]);
        assert_eq!(plan(&known, read_models::ALL, &ceded).last(), Some(&live));
    }
}
