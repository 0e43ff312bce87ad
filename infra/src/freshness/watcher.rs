//! Keeps what is applied up to date. It takes notifications as they come, and reads the database once a
//! second and after each gap, for notifications may be lost and versions may be switched.

use std::{collections::BTreeSet, pin::pin, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{
    applied::{Applied, Heard, Notification, OtherVersion},
    events::{PositionsKnown, PositionsLost},
    positions::{PositionRow, Projection, missing, positions},
};
use crate::{
    http::health::Condition,
    postgres::{Listener, ListenerEvent, Pool},
    telemetry::emit,
};

const REFRESH_INTERVAL: Duration = Duration::from_secs(1);
/// A notice of an unknown version or log triggers a read of the database, at most this often.
const REFRESH_WAIT_MIN: Duration = Duration::from_millis(100);

/// How long the database may take to answer; a read that takes longer is given up and tried again.
const READ_WAIT_MAX: Duration = Duration::from_secs(8);

/// What a service reads of the read models.
#[derive(Clone, Debug)]
pub struct Reads {
    /// The projections whose positions are kept.
    pub projections: &'static [Projection],
    /// What has to be there before anything can be read.
    pub views: Vec<&'static str>,
}

/// The one writer of what is applied.
pub struct PositionWatcher {
    pool: Pool,
    reads: Reads,
    applied: watch::Sender<Applied>,
    condition: Condition,
    refreshed_at: Instant,
    known: Option<bool>,
    /// Versions that are not known to be read, of which notices told: each triggers one read only. They are
    /// forgotten once a second, so that no switch is missed for longer.
    others: BTreeSet<OtherVersion>,
}

impl PositionWatcher {
    /// The condition holds while the views are there and the database answers.
    #[must_use]
    pub fn new(pool: Pool, reads: Reads, condition: Condition) -> (Self, watch::Receiver<Applied>) {
        let (applied, receiver) = watch::channel(Applied::default());
        let refreshed_at = Instant::now();
        let others = BTreeSet::new();
        (Self { pool, reads, applied, condition, refreshed_at, known: None, others }, receiver)
    }

    /// Runs until all receivers are gone.
    pub fn run(mut self, mut listener: Listener) -> BoxFuture<'static, ()> {
        async move {
            let mut ticks = interval(REFRESH_INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let applied = self.applied.clone();
            let mut unwatched = pin!(applied.closed());
            loop {
                // Ticks must not drop it: to connect may take longer than one.
                let mut hearing = pin!(listener.next());
                let heard = loop {
                    tokio::select! {
                        heard = &mut hearing => break heard,
                        _ = ticks.tick() => self.start_over().await,
                        () = &mut unwatched => return,
                    }
                };
                match heard {
                    ListenerEvent::Gap => self.start_over().await,
                    ListenerEvent::Payload(payload) => self.hear(&payload).await,
                }
            }
        }
        .boxed()
    }

    async fn hear(&mut self, payload: &str) {
        let notice = match serde_json::from_str(payload) {
            Ok(Notification::Applied(notice)) => notice,
            Ok(Notification::Switched { switched }) => {
                tracing::info!(projection = switched, "another version of {switched} is read");
                return self.start_over().await;
            }
            Err(error) => return tracing::warn!("a notification that no projector sends: {error}"),
        };
        let mut heard = Heard::default();
        self.applied.send_if_modified(|applied| {
            heard = applied.advance(&notice);
            heard.moved
        });
        if self.refreshed_at.elapsed() < REFRESH_WAIT_MIN {
            return;
        }
        let before = self.others.len();
        self.others.extend(heard.unknown);
        let is_news = self.others.len() > before;
        if is_news {
            self.refresh().await;
        }
    }

    async fn start_over(&mut self) {
        self.others.clear();
        self.refresh().await;
    }

    async fn refresh(&mut self) {
        let read = self.read().await;
        self.refreshed_at = Instant::now();
        let is_known = read.is_ok();
        match read {
            Ok(applied) => {
                self.applied.send_if_modified(|known| {
                    let changed = *known != applied;
                    *known = applied;
                    changed
                });
                if self.known != Some(true) {
                    emit(PositionsKnown);
                }
            }
            Err(error) if self.known != Some(false) => emit(PositionsLost { error: &error }),
            Err(_) => {}
        }
        self.known = Some(is_known);
    }

    async fn read(&self) -> Result<Applied, sqlx::Error> {
        let Reads { projections, views } = &self.reads;
        let missing = in_time(missing(&self.pool, views)).await.inspect_err(|_| {
            self.condition.unmet("the read models cannot be reached");
        })?;
        if missing.is_empty() {
            self.condition.met();
        } else {
            let names = missing.join(", ");
            self.condition.unmet(format!("waiting for the projector to make: {names}"));
        }
        let asked_at = Instant::now();
        let rows: Vec<PositionRow> = in_time(positions(&self.pool)).await?;
        Ok(Applied::replace(projections, &rows, asked_at))
    }
}

async fn in_time<T>(read: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let late = |_elapsed| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
    timeout(READ_WAIT_MAX, read).await.map_err(late)?
}
