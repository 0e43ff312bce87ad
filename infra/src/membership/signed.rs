//! A beat as it travels: what a node says, when by its clock, and a MAC over that, the topic and the
//! node's name.
//!
//! **Invariant:** of each node only what is newer than the last is believed, so that nobody can repeat
//! what it said before.

use std::collections::BTreeMap;

use domain::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::{debug, warn};

use super::{
    Beat, Heard, NODES_MAX,
    seal::{CLOCK_SKEW_MAX, Doubt, PeerKey, Tag, is_far},
};
use crate::{
    clock::Clock,
    telemetry::{Event, metric::Counter},
};

const LABEL: &str = "beat";

static BEATS_IGNORED: Counter = Counter::new(
    "tradewind_membership_beats_ignored_total",
    "Beats that were not believed, by reason: unsigned, forged, late or replayed",
);

#[derive(Serialize, Deserialize)]
struct SignedBeat {
    /// Microseconds since 1970.
    sent_at: i64,
    /// None: the node leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    beat: Option<Beat>,
}

/// Signs the beats of one node.
pub(super) struct BeatSigner {
    key: PeerKey,
    topic: String,
    clock: Clock,
    last: i64,
}

impl BeatSigner {
    pub(super) fn new(key: PeerKey, topic: &str, clock: Clock) -> Self {
        Self { key, topic: topic.to_owned(), clock, last: i64::MIN }
    }

    pub(super) fn sign(&mut self, node: &str, beat: Option<&Beat>) -> Option<(Vec<u8>, Tag)> {
        let sent_at = self.clock.now().as_micros().max(self.last.saturating_add(1));
        self.last = sent_at;
        let said = serde_json::to_vec(&SignedBeat { sent_at, beat: beat.cloned() }).ok()?;
        let tag = self.key.tag(LABEL, &[self.topic.as_bytes(), node.as_bytes(), &said]);
        Some((said, tag))
    }
}

/// Verifies the beats of all nodes.
pub(super) struct BeatVerifier {
    key: PeerKey,
    topic: String,
    /// When each node said what was believed last.
    last: BTreeMap<String, i64>,
}

impl BeatVerifier {
    pub(super) fn new(key: PeerKey, topic: &str) -> Self {
        Self { key, topic: topic.to_owned(), last: BTreeMap::new() }
    }

    /// What was said under a node's name, stamped by the broker with milliseconds.
    pub(super) fn believe(
        &mut self,
        node: &str,
        said: Option<&[u8]>,
        tag: Option<&[u8]>,
        at: i64,
    ) -> Result<Heard, Doubt> {
        let (Some(said), Some(tag)) = (said, tag) else { return Err(Doubt::Unsigned) };
        if !self.key.verifies(tag, LABEL, &[self.topic.as_bytes(), node.as_bytes(), said]) {
            return Err(Doubt::Forged);
        }
        // Of a release that speaks otherwise.
        let Ok(SignedBeat { sent_at, beat }) = serde_json::from_slice(said) else {
            return Err(Doubt::Unsigned);
        };
        let stamped_at = Timestamp::from_micros(at.saturating_mul(1_000));
        if is_far(stamped_at, Timestamp::from_micros(sent_at), CLOCK_SKEW_MAX) {
            return Err(Doubt::Late);
        }
        if self.last.get(node).is_some_and(|last| sent_at <= *last) {
            return Err(Doubt::Replayed);
        }
        self.last.insert(node.to_owned(), sent_at);
        if self.last.len() > NODES_MAX {
            let silent = self.last.iter().min_by_key(|(_, at)| **at);
            let silent = silent.map(|(node, _)| node.clone());
            silent.and_then(|node| self.last.remove(&node));
        }
        Ok(Heard { node: node.to_owned(), beat, at })
    }
}

/// Something was said in the name of a node that need not have come from it.
pub(super) struct BeatIgnored<'a> {
    pub(super) node: &'a str,
    pub(super) doubt: Doubt,
    /// Those that follow for the same reason are counted only.
    pub(super) is_first: bool,
}

impl Event for BeatIgnored<'_> {
    fn emit(self) {
        let Self { node, doubt, is_first } = self;
        let reason = doubt.as_str();
        BEATS_IGNORED.add(&[("reason", reason)], 1);
        if is_first {
            warn!(
                reason,
                "a beat of node {node:?} is not believed ({reason}): do all nodes have the same \
                 secret and release, and clocks within 30 s of the broker's?"
            );
        } else {
            debug!(reason, "a beat of node {node:?} is not believed ({reason})");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::seal::CLOCK_SKEW_MAX, *};
    use crate::clock::ManualClock;

    const TOPIC: &str = "tradewind.nodes";
    const START: i64 = 1_700_000_000_000;

    fn key(secret: &str) -> PeerKey {
        PeerKey::new(&secret.to_owned().into())
    }

    fn beat() -> Beat {
        Beat::new("http://a", crate::log::Nonce(1), false)
    }

    fn signer(secret: &str, clock: &ManualClock) -> BeatSigner {
        BeatSigner::new(key(secret), TOPIC, clock.clone().into())
    }

    fn clock() -> ManualClock {
        ManualClock::at(Timestamp::from_micros(START * 1_000))
    }

    #[test]
    fn a_node_is_believed_and_what_it_said_cannot_be_said_again() {
        let (clock, mut verifier) = (clock(), BeatVerifier::new(key("a secret"), TOPIC));
        let mut signer = signer("a secret", &clock);
        let said: Vec<_> = (0..3).map(|_| signer.sign("a", Some(&beat())).unwrap()).collect();
        for (said, tag) in &said {
            let heard = verifier.believe("a", Some(said), Some(tag), START).unwrap();
            assert_eq!(heard, Heard { node: "a".to_owned(), beat: Some(beat()), at: START });
        }
        for (said, tag) in &said {
            let again = verifier.believe("a", Some(said), Some(tag), START);
            assert_eq!(again, Err(Doubt::Replayed));
        }
        let (said, tag) = signer.sign("a", None).unwrap();
        assert_eq!(verifier.believe("a", Some(&said), Some(&tag), START).unwrap().beat, None);
    }

    #[test]
    fn nobody_else_speaks_for_a_node() {
        let (clock, mut verifier) = (clock(), BeatVerifier::new(key("a secret"), TOPIC));
        let (said, tag) = signer("a secret", &clock).sign("a", Some(&beat())).unwrap();
        let (foreign, foreign_tag) = signer("another", &clock).sign("a", Some(&beat())).unwrap();
        let mut believe = |node, said, tag| verifier.believe(node, said, tag, START).unwrap_err();
        assert_eq!(believe("a", Some(&*foreign), Some(&foreign_tag[..])), Doubt::Forged);
        assert_eq!(believe("b", Some(&*said), Some(&tag[..])), Doubt::Forged);
        assert_eq!(believe("a", Some(&*said), None), Doubt::Unsigned);
        assert_eq!(believe("a", None, None), Doubt::Unsigned, "nor says that it has gone");
        let late = START + 1 + i64::try_from(CLOCK_SKEW_MAX.as_millis()).unwrap();
        assert_eq!(verifier.believe("a", Some(&said), Some(&tag), late), Err(Doubt::Late));
        clock.advance(Duration::from_secs(1));
        assert!(verifier.believe("a", Some(&said), Some(&tag), START).is_ok());
    }
}
