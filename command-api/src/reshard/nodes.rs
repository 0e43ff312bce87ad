//! Whether a node of the command API still runs.
//!
//! Silence proves nothing as long as it is not known that one hears: so a beat of our own goes out, and only
//! after it has come back does silence count.

use std::time::Duration;

use infra::{
    log::Nonce,
    membership::{BEAT_EVERY, Beat, Beats, BeatsFailed, Heard},
};
use tokio::time::{Instant, timeout_at};

/// How this beats. No node may have the name: it has a slash.
const NAME: &str = "command-api/reshard";
/// How long the own beat may take to come back.
const HEARD_WITHIN: Duration = Duration::from_secs(10);
/// A node beats several times within this.
const LISTEN_WAIT: Duration = Duration::from_millis(1_500);

#[derive(Debug, thiserror::Error)]
pub(super) enum UnknownNodes {
    #[error(transparent)]
    Failed(#[from] BeatsFailed),
    #[error(
        "whether nodes run cannot be told: no beat came back on the nodes' topic within 10 s; look whether \
         kafka.nodes_topic and the ACLs are those of a node"
    )]
    Unheard,
}

/// The name of a node that beats now, if one does. Nodes that are alone beat nowhere.
pub(super) async fn living(beats: &mut dyn Beats) -> Result<Option<String>, UnknownNodes> {
    let found = listen(beats).await;
    beats.send(NAME, None);
    found
}

async fn listen(beats: &mut dyn Beats) -> Result<Option<String>, UnknownNodes> {
    let own = Beat::new("", Nonce::random(), true);
    let began_at = own_beat(beats, &own).await?;
    let until = Instant::now() + LISTEN_WAIT;
    while let Some(heard) = next(beats, until).await? {
        if heard.beat.is_some() && heard.node != NAME && heard.at >= began_at {
            return Ok(Some(heard.node));
        }
    }
    Ok(None)
}

/// When the own beat came to the brokers, by their clock.
async fn own_beat(beats: &mut dyn Beats, own: &Beat) -> Result<i64, UnknownNodes> {
    let until = Instant::now() + HEARD_WITHIN;
    while Instant::now() < until {
        beats.send(NAME, Some(own));
        let again = (Instant::now() + BEAT_EVERY).min(until);
        while let Some(heard) = next(beats, again).await? {
            if heard.node == NAME && heard.beat.as_ref().is_some_and(|beat| beat.run == own.run) {
                return Ok(heard.at);
            }
        }
    }
    Err(UnknownNodes::Unheard)
}

async fn next(beats: &mut dyn Beats, until: Instant) -> Result<Option<Heard>, BeatsFailed> {
    timeout_at(until, beats.hear()).await.ok().transpose()
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use infra::{clock::Clock, membership::memory::MemoryBeats, task};
    use tokio::time::interval;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_beats_is_alive_and_who_has_beaten_is_not() {
        let topic = MemoryBeats::new(Clock::System);
        let (mut node, mut here) = (topic.subscribe(), topic.subscribe());
        let beat = Beat::new("http://a", Nonce(1), false);
        node.send("a", Some(&beat));
        assert_eq!(living(&mut *here).await.expect("beats"), None);
        let _beating = task::spawn("beating", async move {
            let mut ticks = interval(BEAT_EVERY);
            loop {
                ticks.tick().await;
                node.send("a", Some(&beat));
            }
        });
        assert_eq!(living(&mut *here).await.expect("beats").as_deref(), Some("a"));
    }

    /// A topic to which nothing gets, and of which nothing is heard.
    struct Deaf;

    #[async_trait]
    impl Beats for Deaf {
        fn send(&mut self, _: &str, _: Option<&Beat>) {}

        async fn hear(&mut self) -> Result<Heard, BeatsFailed> {
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_where_nothing_is_heard_is_no_answer() {
        let unknown = living(&mut Deaf).await;
        assert!(matches!(unknown, Err(UnknownNodes::Unheard)), "{unknown:?}");
    }
}
