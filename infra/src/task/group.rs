//! The tasks that make up a service: they end together or not at all.

use std::{collections::BTreeMap, fmt::Display, future::Future, time::Duration};

use tokio::{task::JoinSet, time::timeout};

use super::panic_message;
use crate::shutdown::Shutdown;

/// A group of critical tasks under one shutdown.
#[derive(Debug)]
pub struct Tasks {
    shutdown: Shutdown,
    set: JoinSet<Result<(), String>>,
    names: BTreeMap<tokio::task::Id, &'static str>,
}

/// Why a group ended in another way than it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum GroupFailed {
    #[error("{name} failed: {cause}")]
    Failed { name: &'static str, cause: String },
    #[error("{name} panicked: {cause}")]
    Panicked { name: &'static str, cause: String },
    #[error("{name} ended although nobody asked it to")]
    EndedEarly { name: &'static str },
    #[error("still running at the end of the drain: {}", names.join(", "))]
    StillRunning { names: Vec<&'static str> },
}

impl Tasks {
    #[must_use]
    pub fn new(shutdown: Shutdown) -> Self {
        Self { shutdown, set: JoinSet::new(), names: BTreeMap::new() }
    }

    /// Adds a task that must run until the shutdown is requested.
    pub fn spawn_critical<E: Display>(
        &mut self,
        name: &'static str,
        future: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let handle =
            self.set.spawn(async move { future.await.map_err(|error| format!("{error:#}")) });
        self.names.insert(handle.id(), name);
    }

    /// Runs until all tasks have ended. The first unexpected end requests the shutdown of the
    /// others, which then have `drain_wait_max` to finish; after it they are stopped.
    ///
    /// # Errors
    /// The first thing that went wrong.
    pub async fn run(mut self, drain_wait_max: Duration) -> Result<(), GroupFailed> {
        let shutdown = self.shutdown.clone();
        let first = tokio::select! {
            failed = self.first_failure() => failed,
            () = shutdown.requested() => None,
        };
        shutdown.request();
        let drained = timeout(drain_wait_max, self.drain()).await;
        match (first, drained) {
            (Some(failed), _) | (None, Ok(Some(failed))) => Err(failed),
            (None, Ok(None)) => Ok(()),
            (None, Err(_)) => {
                Err(GroupFailed::StillRunning { names: self.names.into_values().collect() })
            }
        }
    }

    async fn first_failure(&mut self) -> Option<GroupFailed> {
        let ended = self.set.join_next_with_id().await?;
        let requested = self.shutdown.is_requested();
        match self.outcome(ended) {
            Ok(name) if !requested => Some(GroupFailed::EndedEarly { name }),
            Ok(_) => None,
            Err(failed) => Some(failed),
        }
    }

    async fn drain(&mut self) -> Option<GroupFailed> {
        let mut first = None;
        while let Some(ended) = self.set.join_next_with_id().await {
            if let Err(failed) = self.outcome(ended) {
                first.get_or_insert(failed);
            }
        }
        first
    }

    fn outcome(
        &mut self,
        ended: Result<(tokio::task::Id, Result<(), String>), tokio::task::JoinError>,
    ) -> Result<&'static str, GroupFailed> {
        let id = ended.as_ref().map_or_else(tokio::task::JoinError::id, |(id, _)| *id);
        let name = self.names.remove(&id).unwrap_or("a task");
        match ended {
            Ok((_, Ok(()))) => Ok(name),
            Ok((_, Err(cause))) => Err(GroupFailed::Failed { name, cause }),
            Err(error) => {
                let cause = error
                    .try_into_panic()
                    .map_or_else(|error| error.to_string(), |payload| panic_message(&*payload));
                Err(GroupFailed::Panicked { name, cause })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const DRAIN: Duration = Duration::from_secs(5);

    fn group(shutdown: &Shutdown) -> Tasks {
        let mut tasks = Tasks::new(shutdown.clone());
        let requested = shutdown.clone();
        tasks.spawn_critical("obedient", async move {
            requested.requested().await;
            Ok::<_, String>(())
        });
        tasks
    }

    #[tokio::test]
    async fn a_requested_end_is_no_failure() {
        let shutdown = Shutdown::new();
        let tasks = group(&shutdown);
        shutdown.request();
        tasks.run(DRAIN).await.unwrap();
    }

    #[tokio::test]
    async fn an_early_end_stops_the_others() {
        let shutdown = Shutdown::new();
        let mut tasks = group(&shutdown);
        tasks.spawn_critical("hasty", async { Ok::<_, String>(()) });
        let failed = tasks.run(DRAIN).await.unwrap_err();
        assert_eq!(failed.to_string(), "hasty ended although nobody asked it to");
        assert!(shutdown.is_requested());
    }

    #[tokio::test]
    async fn failures_and_panics_tell_their_cause() {
        let mut tasks = group(&Shutdown::new());
        tasks.spawn_critical("reader", async { Err("the disk is gone") });
        assert_eq!(
            tasks.run(DRAIN).await.unwrap_err().to_string(),
            "reader failed: the disk is gone"
        );
        let mut tasks = group(&Shutdown::new());
        tasks.spawn_critical("writer", async {
            panic!("out of ink");
            #[expect(unreachable_code, reason = "it only names the type")]
            Ok::<_, String>(())
        });
        assert_eq!(tasks.run(DRAIN).await.unwrap_err().to_string(), "writer panicked: out of ink");
    }

    #[tokio::test(start_paused = true)]
    async fn what_outlives_the_drain_is_named() {
        let shutdown = Shutdown::new();
        let mut tasks = group(&shutdown);
        tasks.spawn_critical("stubborn", pending::<Result<(), String>>());
        shutdown.request();
        let failed = tasks.run(DRAIN).await.unwrap_err();
        assert_eq!(failed.to_string(), "still running at the end of the drain: stubborn");
    }
}
