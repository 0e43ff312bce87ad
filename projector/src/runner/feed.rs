//! Reads a shard's log, decodes each commit once and hands it to all projections.

use std::sync::Arc;

use infra::log::{ReadError, follow::Follower};
use tokio::sync::mpsc;

use super::{commit::Commit, horizon::Horizon};

/// Records that are read and decoded at once.
const RECORDS_MAX: usize = 1_000;

/// Commits in the order of the log, shared by all who take them.
pub(super) type Delivery = Arc<[Commit]>;
/// Where a projection takes deliveries from.
pub(super) type Inbox = mpsc::Sender<Delivery>;

/// Hands out until the log cannot be read.
pub(super) async fn run(
    mut follower: Follower,
    horizon: Arc<Horizon>,
    mut inboxes: Vec<Inbox>,
) -> ReadError {
    loop {
        let commits = match follower.next(RECORDS_MAX).await {
            Ok(commits) => commits,
            Err(error) => return error,
        };
        let checkpoint = follower.checkpoint();
        horizon.has_read(follower.next_offset(), checkpoint.next_offset);
        if commits.is_empty() {
            continue;
        }
        let decode = |commit| Commit::decode(checkpoint.log_id, commit);
        let delivery: Delivery = commits.iter().map(decode).collect();
        // A closed inbox belongs to a projection that has ended; its end says why.
        inboxes.retain(|inbox| !inbox.is_closed());
        for inbox in &inboxes {
            inbox.send(Arc::clone(&delivery)).await.ok();
        }
    }
}
