//! Beats within one process, for tests.

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::{Beat, Beats, BeatsFailed, Heard};
use crate::clock::Clock;

/// Beats that a slow listener may be behind; older ones are lost to it.
const BEATS_MAX: usize = 1_024;

/// A topic in memory; each node subscribes to it.
#[derive(Clone, Debug)]
pub struct MemoryBeats {
    beats: broadcast::Sender<Heard>,
    clock: Clock,
}

impl MemoryBeats {
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { beats: broadcast::Sender::new(BEATS_MAX), clock }
    }

    #[must_use]
    pub fn subscribe(&self) -> Box<dyn Beats> {
        Box::new(Subscription { heard: self.beats.subscribe(), topic: self.clone() })
    }
}

struct Subscription {
    topic: MemoryBeats,
    heard: broadcast::Receiver<Heard>,
}

#[async_trait]
impl Beats for Subscription {
    fn send(&mut self, node: &str, beat: Option<&Beat>) {
        let at = self.topic.clock.now().as_micros() / 1_000;
        // The own subscription is always there to receive it.
        self.topic.beats.send(Heard { node: node.to_owned(), beat: beat.cloned(), at }).ok();
    }

    async fn hear(&mut self) -> Result<Heard, BeatsFailed> {
        loop {
            match self.heard.recv().await {
                Ok(heard) => return Ok(heard),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(error @ broadcast::error::RecvError::Closed) => {
                    return Err(BeatsFailed(error.into()));
                }
            }
        }
    }
}
