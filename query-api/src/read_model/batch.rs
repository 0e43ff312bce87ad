//! Reads by key that share statements.
//!
//! While a statement is under way, the keys that are asked for meanwhile gather, and the next
//! statement reads all of them. A lone read goes out at once; under load PostgreSQL does a small
//! part of the work that a statement per read would cost it.
//!
//! **Invariant:** each read sees at least what was committed before it was asked for: its statement
//! begins after that.

use std::{hash::Hash, sync::Arc};

use futures_util::future::BoxFuture;
use infra::{postgres::Pool, telemetry::emit};
use rustc_hash::FxHashMap;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::error::{ReadError, in_time};
use crate::metrics::BatchRead;

/// Statements of one kind under way at once.
const TASKS_PER_LOADER: usize = 2;
/// Keys of one statement. More of them wait for the next.
const BATCH_KEYS_MAX: usize = 512;
/// Reads that wait for a statement. More of them wait to be queued, within their own deadline.
const QUEUE_MAX: usize = 4096;

/// One kind of read by key.
pub(crate) trait Lookup: 'static {
    /// For metrics.
    const NAME: &'static str;
    type Key: Clone + Eq + Hash + Send + Sync;
    type Row: Clone + Send + Sync;

    /// The rows of these keys that exist, in any order.
    fn find(
        pool: &Pool,
        keys: &[Self::Key],
    ) -> impl Future<Output = Result<Rows<Self>, sqlx::Error>> + Send;
}

pub(crate) type Rows<L> = Vec<(<L as Lookup>::Key, <L as Lookup>::Row)>;

/// Where to ask for single rows. Cheap to clone.
pub(crate) struct Loader<L: Lookup> {
    requests: mpsc::Sender<Request<L>>,
}

struct Request<L: Lookup> {
    key: L::Key,
    answer: oneshot::Sender<Result<Option<L::Row>, ReadError>>,
}

/// What runs the statements: a future each, to be driven by the service.
pub(crate) type LoaderTasks = Vec<BoxFuture<'static, ()>>;

impl<L: Lookup> Clone for Loader<L> {
    fn clone(&self) -> Self {
        Self { requests: self.requests.clone() }
    }
}

impl<L: Lookup> Loader<L> {
    /// Its tasks come to these.
    pub(super) fn open(pool: &Pool, tasks: &mut LoaderTasks) -> Self {
        let (requests, queue) = mpsc::channel(QUEUE_MAX);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..TASKS_PER_LOADER {
            tasks.push(Box::pin(serve::<L>(pool.clone(), Arc::clone(&queue))));
        }
        Self { requests }
    }

    /// The row of a key, if there is one.
    pub(crate) async fn find(&self, key: L::Key) -> Result<Option<L::Row>, ReadError> {
        let (answer, answered) = oneshot::channel();
        let sent = self.requests.send(Request { key, answer }).await;
        sent.map_err(|_closed| ReadError::Stopped)?;
        answered.await.map_err(|_closed| ReadError::Stopped)?
    }
}

type Queue<L> = Arc<Mutex<mpsc::Receiver<Request<L>>>>;
type Waiting<L> = FxHashMap<<L as Lookup>::Key, Vec<Answer<L>>>;
type Answer<L> = oneshot::Sender<Result<Option<<L as Lookup>::Row>, ReadError>>;

/// One task of a loader, until the last loader is gone.
async fn serve<L: Lookup>(pool: Pool, queue: Queue<L>) {
    let mut requests = Vec::new();
    // The lock is held while there is nothing to do, by the one task that is next.
    while queue.lock().await.recv_many(&mut requests, BATCH_KEYS_MAX).await > 0 {
        let waiting = by_key(&mut requests);
        if waiting.is_empty() {
            continue;
        }
        let keys: Vec<_> = waiting.keys().cloned().collect();
        emit(BatchRead { name: L::NAME, keys: keys.len() });
        let found = in_time(L::find(&pool, &keys)).await;
        answer::<L>(waiting, found);
    }
}

/// Many may ask for the same key. Those that have hung up need no answer.
fn by_key<L: Lookup>(requests: &mut Vec<Request<L>>) -> Waiting<L> {
    let mut waiting = Waiting::<L>::default();
    for Request { key, answer } in requests.drain(..).filter(|it| !it.answer.is_closed()) {
        waiting.entry(key).or_default().push(answer);
    }
    waiting
}

fn answer<L: Lookup>(mut waiting: Waiting<L>, found: Result<Rows<L>, ReadError>) {
    let rows = match found {
        Ok(rows) => rows,
        Err(error) => return tell::<L>(waiting, &Err(error)),
    };
    for (key, row) in rows {
        let answers = waiting.remove(&key).unwrap_or_default();
        tell::<L>([(key, answers)], &Ok(Some(row)));
    }
    tell::<L>(waiting, &Ok(None));
}

fn tell<L: Lookup>(
    waiting: impl IntoIterator<Item = (L::Key, Vec<Answer<L>>)>,
    result: &Result<Option<L::Row>, ReadError>,
) {
    for answer in waiting.into_iter().flat_map(|(_, answers)| answers) {
        // Who has hung up meanwhile misses nothing.
        answer.send(result.clone()).ok();
    }
}
