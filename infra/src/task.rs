//! The only spawn: every task has a name and an owner that learns how it ended.
//!
//! **Invariant:** the panic or early end of a critical task ends its service. A half-alive node is
//! worse than a dead one.

mod group;

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

pub use group::{GroupFailed, Tasks};

/// Blocking jobs that run at once, process-wide. More of them wait.
const BLOCKING_MAX: usize = 64;
static BLOCKING: Semaphore = Semaphore::const_new(BLOCKING_MAX);

/// A running task. Await it for its result; dropping it stops the task.
#[derive(Debug)]
#[must_use = "dropping a task stops it: await it, keep it or detach it"]
pub struct Task<T> {
    name: &'static str,
    handle: AbortOnDropHandle<T>,
}

/// How a task ended that did not return.
#[derive(Debug, thiserror::Error)]
pub enum TaskFailed {
    #[error("task {name} panicked: {message}")]
    Panicked { name: &'static str, message: String },
    /// Its owner or the runtime stopped it.
    #[error("task {name} was stopped")]
    Stopped { name: &'static str },
}

/// Starts a named task.
#[expect(clippy::disallowed_methods, reason = "this is the spawn that everybody else uses")]
pub fn spawn<T, F>(name: &'static str, future: F) -> Task<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    Task { name, handle: AbortOnDropHandle::new(tokio::spawn(future)) }
}

/// Runs a job that blocks, off the async threads.
///
/// # Errors
/// The job panicked, or the runtime is shutting down.
#[expect(clippy::disallowed_methods, reason = "this is the spawn that everybody else uses")]
pub async fn spawn_blocking<T, F>(name: &'static str, job: F) -> Result<T, TaskFailed>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    // The semaphore is static and never closed; a closed one would only lift the limit.
    let permit = BLOCKING.acquire().await.ok();
    let handle = tokio::task::spawn_blocking(move || {
        let result = job();
        drop(permit);
        result
    });
    Task { name, handle: AbortOnDropHandle::new(handle) }.await
}

impl<T> Task<T> {
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// Lets the task run on its own until the process ends. For what nobody needs to wait for.
    pub fn detach(self) {
        drop(self.handle.detach());
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, TaskFailed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let name = self.name;
        Pin::new(&mut self.handle)
            .poll(cx)
            .map(|joined| joined.map_err(|error| TaskFailed::from_join(name, error)))
    }
}

impl TaskFailed {
    fn from_join(name: &'static str, error: tokio::task::JoinError) -> Self {
        match error.try_into_panic() {
            Ok(payload) => Self::Panicked { name, message: panic_message(&*payload) },
            Err(_) => Self::Stopped { name },
        }
    }
}

/// The text of a panic, if it had one.
pub(crate) fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without text").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_answer_with_the_name_of_the_task() {
        let failed = spawn("counting", async { panic!("lost count") }).await.unwrap_err();
        assert_eq!(failed.to_string(), "task counting panicked: lost count");
    }

    #[tokio::test]
    async fn dropping_a_task_stops_it() {
        let (alive, mut dropped) = tokio::sync::mpsc::channel::<()>(1);
        let task = spawn("waiting", async move {
            std::future::pending::<()>().await;
            drop(alive);
        });
        drop(task);
        assert_eq!(dropped.recv().await, None);
    }

    #[tokio::test]
    async fn a_blocking_job_returns_its_value() {
        assert_eq!(spawn_blocking("adding", || 1 + 1).await.unwrap(), 2);
    }
}
