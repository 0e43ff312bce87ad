//! Whether a node of the command API still runs.

use std::time::Duration;

use infra::membership::{Beats, BeatsFailed, Heard};
use tokio::time::{Instant, timeout_at};

/// How long it takes to hear what was said before.
const PAST_WAIT: Duration = Duration::from_secs(1);
/// A node beats several times within this.
const LISTEN_WAIT: Duration = Duration::from_millis(1_500);

/// The name of a node that beats now, if one does. Nodes that are alone beat nowhere.
pub(super) async fn living(beats: &mut dyn Beats) -> Result<Option<String>, BeatsFailed> {
    let began = Instant::now();
    while next(beats, began + PAST_WAIT).await?.is_some() {
        if began.elapsed() >= PAST_WAIT {
            break;
        }
    }
    let until = Instant::now() + LISTEN_WAIT;
    while let Some(heard) = next(beats, until).await? {
        if heard.beat.is_some() {
            return Ok(Some(heard.node));
        }
    }
    Ok(None)
}

async fn next(beats: &mut dyn Beats, until: Instant) -> Result<Option<Heard>, BeatsFailed> {
    timeout_at(until, beats.hear()).await.ok().transpose()
}

#[cfg(test)]
mod tests {
    use infra::{
        clock::Clock,
        log::Nonce,
        membership::{BEAT_EVERY, Beat, memory::MemoryBeats},
        task,
    };
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
}
