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
enum Group {
    /// By projection: its live version.
    Live(BTreeMap<String, i32>),
    Beside(String, i32),
    /// In bulk, so many events per second at most.
    Copying(String, i32, Option<i32>),
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
        let own = projector.own(&ceded.borrow_and_update());
        let wanted = plan(&known, &own);
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

/// What this code can feed of the versions that there are.
fn plan(versions: &[Version], projections: &[Projection]) -> Vec<Group> {
    let mut live = BTreeMap::new();
    let mut groups = Vec::new();
    for version in versions.iter().filter(|version| fold_of(projections, version).is_some()) {
        let (name, number) = (version.projection.clone(), version.version);
        match version.state {
            VersionState::Live => drop(live.insert(name, number)),
            VersionState::Copying if !version.paused => {
                groups.push(Group::Copying(name, number, version.throttle));
            }
            VersionState::CatchingUp | VersionState::Standby if !version.paused => {
                groups.push(Group::Beside(name, number));
            }
            VersionState::Copying
            | VersionState::CatchingUp
            | VersionState::Standby
            | VersionState::Indexing
            | VersionState::Dropped => {}
        }
    }
    if !live.is_empty() {
        groups.push(Group::Live(live));
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

    fn own(&self, ceded: &BTreeSet<&'static str>) -> Vec<Projection> {
        let is_own = |it: &&Projection| !ceded.contains(it.name);
        self.projections.iter().filter(is_own).copied().collect()
    }

    fn start(&self, group: &Group, shard: ShardId, stop: Shutdown) -> Running {
        let served = |name: &str, version: i32| {
            let projection = *self.projections.iter().find(|it| it.name == name)?;
            Some(Served { projection, version })
        };
        let shared = Arc::new(match group {
            Group::Live(live) => {
                let live = live.iter().filter_map(|(name, version)| served(name, *version));
                self.shared.serving(live.collect())
            }
            Group::Beside(name, version) | Group::Copying(name, version, _) => served(
                name, *version,
            )
            .map_or_else(|| self.shared.serving(Vec::new()), |served| self.shared.beside(served)),
        });
        let task = match group {
            Group::Live(_) | Group::Beside(..) => {
                let run = follow::run(Arc::clone(&shared), shard, stop.clone());
                task::spawn("projector shard", run)
            }
            Group::Copying(.., throttle) => {
                let run = copy::run(Arc::clone(&shared), shard, *throttle, stop.clone());
                task::spawn("projector copy", run)
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
        let live = [("orders".to_owned(), 2), ("stock".to_owned(), 1)];
        let expected = [
            Group::Beside("orders".to_owned(), 1),
            Group::Copying("orders".to_owned(), 3, None),
            Group::Live(live.into()),
        ];
        assert_eq!(plan(&known, read_models::ALL), expected);
    }
}
