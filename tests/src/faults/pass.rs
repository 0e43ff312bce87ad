//! Time that is no condition to wait for: how long a fault lasts, a client thinks.

use std::time::Duration;

/// Lets time pass.
#[expect(clippy::disallowed_methods, reason = "how long a fault lasts is no condition to wait for")]
pub(super) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}
