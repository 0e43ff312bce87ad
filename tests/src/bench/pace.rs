//! Requests that are sent when they are due, whatever became of those before.
//!
//! Clients that wait for their answers send less while these come late, and so hide how late they are.
//!
//! **Invariant:** how late the load itself was is told beside what it measured. Its timer knows whole
//! milliseconds, and it shares its cores with what it measures.

use std::time::Duration;

use anyhow::Result;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::{Instant, sleep_until};

/// Requests under way at once; what is due beyond them waits, and is late. A node shares out more than
/// these among its shards, so none of them is refused.
const UNDER_WAY_MAX: usize = 1_024;

pub(super) struct Schedule {
    began: Instant,
    per_second: f64,
    ends: Instant,
}

/// A request that was sent and answered.
pub(super) struct Sent<T> {
    pub(super) due: Instant,
    late: Duration,
    pub(super) answer: T,
}

impl Schedule {
    /// Begins now.
    pub(super) fn new(per_second: f64, lasting: Duration) -> Self {
        let began = Instant::now();
        Self { began, per_second, ends: began + lasting }
    }

    fn due(&self, index: u32) -> Option<Instant> {
        let due = self.began + Duration::from_secs_f64(f64::from(index) / self.per_second);
        (due < self.ends).then_some(due)
    }

    /// Sends them all, with their numbers and when they were due. What is still overdue at the end is not
    /// sent any more.
    pub(super) async fn keep<T>(
        &self,
        send: impl AsyncFn(u32, Instant) -> Result<T>,
    ) -> Result<Vec<Sent<T>>> {
        let send = &send;
        stream::iter((0..).map_while(|index| Some((index, self.due(index)?))))
            .then(async |(index, due)| {
                sleep_until(due).await;
                (index, due, due.elapsed())
            })
            .take_while(|_| std::future::ready(Instant::now() < self.ends))
            .map(async |(index, due, late)| {
                anyhow::Ok(Sent { due, late, answer: send(index, due).await? })
            })
            .buffer_unordered(UNDER_WAY_MAX)
            .try_collect()
            .await
    }
}

impl<T> Sent<T> {
    /// Milliseconds from when it was due until it was sent.
    pub(super) fn late(&self) -> f64 {
        milliseconds(self.late)
    }
}

pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latest<T>(sent: &[Sent<T>]) -> f64 {
        sent.iter().map(Sent::late).fold(0.0, f64::max)
    }

    #[tokio::test(start_paused = true)]
    async fn each_is_sent_when_it_is_due_whatever_became_of_the_others() {
        let schedule = Schedule::new(4.0, Duration::from_secs(1));
        let sent = schedule.keep(async |index, due| {
            let waited = due.duration_since(schedule.began);
            sleep_until(due + Duration::from_secs(9)).await;
            Ok((index, waited.as_millis()))
        });
        let sent = sent.await.expect("all are answered");
        // The timer rounds up to whole milliseconds.
        assert!(latest(&sent) <= 1.0, "{}", latest(&sent));
        let answers: Vec<_> = sent.into_iter().map(|sent| sent.answer).collect();
        assert_eq!(answers, [(0, 0), (1, 250), (2, 500), (3, 750)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_finds_no_room_is_late_and_what_is_overdue_in_the_end_is_not_sent() {
        let schedule = Schedule::new(2_048.0, Duration::from_secs(2));
        let sent = schedule.keep(async |_, due| {
            sleep_until(due + Duration::from_millis(1_500)).await;
            Ok(())
        });
        let sent = sent.await.expect("all are answered");
        assert!((UNDER_WAY_MAX..4_096).contains(&sent.len()), "{} were sent", sent.len());
        assert!(latest(&sent) > 500.0, "{}", latest(&sent));
    }
}
