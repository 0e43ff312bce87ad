//! Beats within one process, for tests.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::{Beat, Beats, BeatsFailed, Heard};
use crate::clock::Clock;

/// Beats that a slow listener may be behind; older ones are lost to it.
const BEATS_MAX: usize = 1_024;

/// A topic in memory; each node subscribes to it, and hears first what each was heard to say last.
#[derive(Clone, Debug)]
pub struct MemoryBeats {
    beats: broadcast::Sender<Heard>,
    last: Arc<Mutex<BTreeMap<String, Heard>>>,
    clock: Clock,
}

impl MemoryBeats {
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { beats: broadcast::Sender::new(BEATS_MAX), last: Arc::default(), clock }
    }

    #[must_use]
    pub fn subscribe(&self) -> Box<dyn Beats> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let past = last.values().cloned().collect();
        Box::new(Subscription { past, heard: self.beats.subscribe(), topic: self.clone() })
    }
}

struct Subscription {
    topic: MemoryBeats,
    past: VecDeque<Heard>,
    heard: broadcast::Receiver<Heard>,
}

#[async_trait]
impl Beats for Subscription {
    fn send(&mut self, node: &str, beat: Option<&Beat>) {
        let at = self.topic.clock.now().as_micros() / 1_000;
        let heard = Heard { node: node.to_owned(), beat: beat.cloned(), at };
        let mut last = self.topic.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.insert(node.to_owned(), heard.clone());
        // The own subscription is always there to receive it.
        self.topic.beats.send(heard).ok();
    }

    async fn hear(&mut self) -> Result<Heard, BeatsFailed> {
        if let Some(heard) = self.past.pop_front() {
            return Ok(heard);
        }
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
