//! NOTIFY as it comes in, over a connection that mends itself.

use sqlx::postgres::PgListener;

use super::Pool;
use crate::retry::{Policy, Waits};

/// Where projectors tell the positions that they have applied.
pub const POSITIONS_CHANNEL: &str = "tradewind_positions";

/// Payloads of one channel.
///
/// **Invariant:** notifications that were sent while the connection was away are lost, and
/// [`ListenerEvent::Gap`] says so: code that depends on them must read the state anew.
pub struct Listener {
    pool: Pool,
    channel: &'static str,
    connection: Option<PgListener>,
    waits: Waits,
}

/// What a listener hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenerEvent {
    /// Listening (again): anything may have been missed until now.
    Gap,
    Payload(String),
}

impl Listener {
    #[must_use]
    pub fn new(pool: Pool, channel: &'static str) -> Self {
        Self { pool, channel, connection: None, waits: Policy::PATIENT.waits() }
    }

    /// Waits for the next payload, for as long as it takes. Safe to drop and to call again.
    pub async fn next(&mut self) -> ListenerEvent {
        loop {
            let Some(connection) = &mut self.connection else {
                if let Some(heard) = self.connect().await {
                    return heard;
                }
                continue;
            };
            match connection.try_recv().await {
                Ok(Some(notification)) => {
                    return ListenerEvent::Payload(notification.payload().to_owned());
                }
                // Closed or broken: what follows is a new connection, and thereby a gap.
                Ok(None) => self.connection = None,
                Err(error) => {
                    tracing::warn!(
                        channel = self.channel,
                        "lost the listening connection: {error}"
                    );
                    self.connection = None;
                }
            }
        }
    }

    async fn connect(&mut self) -> Option<ListenerEvent> {
        let connected = async {
            let mut connection = PgListener::connect_with(&self.pool).await?;
            connection.listen(self.channel).await?;
            Ok::<_, sqlx::Error>(connection)
        };
        match connected.await {
            Ok(connection) => {
                self.connection = Some(connection);
                self.waits.reset();
                Some(ListenerEvent::Gap)
            }
            Err(error) => {
                tracing::debug!(channel = self.channel, "cannot listen yet: {error}");
                self.waits.wait().await;
                None
            }
        }
    }
}
