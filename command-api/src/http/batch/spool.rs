//! Answers that wait while the client is still sending.
//!
//! A client that sends all before it reads anything would fill the connection with answers, and both
//! sides would wait for the other. So a batch runs by itself, and its answers are kept while lines keep
//! coming, up to a bound. They go out when the client pauses or has sent its last line.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use infra::task::{self, Task};
use tokio::{
    sync::{Notify, mpsc},
    time::timeout,
};

use super::{LINES_MAX, Run};

/// Answers that the client has not taken yet; beyond it no more lines are read.
const KEPT_BYTES_MAX: usize = 64 << 20;
/// A client that has sent nothing for so long is taken to wait for answers.
const PAUSE: Duration = Duration::from_millis(20);

/// What both sides know of the answers that are kept.
#[derive(Default)]
struct Kept {
    bytes: AtomicUsize,
    taken: Notify,
}

/// The side that gives them out. Dropping it ends the batch.
struct Spool {
    answers: mpsc::Receiver<Bytes>,
    kept: Arc<Kept>,
    _running: Task<()>,
}

/// All answers, in order.
pub(super) fn answers(run: Run) -> impl Stream<Item = Bytes> + Send {
    let kept = Arc::<Kept>::default();
    // Room for an answer to each line and to what ends the batch; `kept` is the tighter bound.
    let (give, answers) = mpsc::channel(LINES_MAX + 2);
    let running = task::spawn("batch", keep(run, give, Arc::clone(&kept)));
    let spool = Spool { answers, kept, _running: running };
    stream::unfold(spool, async |mut spool| {
        let answer = spool.answers.recv().await?;
        spool.kept.bytes.fetch_sub(answer.len(), Ordering::Relaxed);
        spool.kept.taken.notify_one();
        Some((answer, spool))
    })
}

async fn keep(mut run: Run, give: mpsc::Sender<Bytes>, kept: Arc<Kept>) {
    let mut waiting = Vec::new();
    loop {
        let next = {
            let mut next = pin!(run.next());
            match timeout(PAUSE, &mut next).await {
                Ok(next) => next,
                Err(_paused) => {
                    give_all(&mut waiting, &give);
                    next.await
                }
            }
        };
        let ended = next.is_none();
        if let Some(answer) = next {
            kept.bytes.fetch_add(answer.len(), Ordering::Relaxed);
            waiting.push(answer);
        }
        let full = || kept.bytes.load(Ordering::Relaxed) > KEPT_BYTES_MAX;
        if !run.open || full() {
            give_all(&mut waiting, &give);
        }
        if ended {
            return;
        }
        while full() {
            kept.taken.notified().await;
        }
    }
}

fn give_all(waiting: &mut Vec<Bytes>, give: &mpsc::Sender<Bytes>) {
    for answer in waiting.drain(..) {
        // If nobody listens any more, this task is about to be dropped.
        give.try_send(answer).ok();
    }
}
