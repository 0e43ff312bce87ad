//! What nodes say to each other bears a MAC (HMAC-SHA256) under the secret that they share, which
//! itself never travels. So an eavesdropper, or an impostor at the address of a node, can say nothing in
//! its name.
//!
//! **Invariant:** a MAC covers all that its receiver acts upon, and for whom it is. Each kind of
//! message has a label, so that none passes for another.
//! **Invariant:** only a request whose MAC was right is answered with one, so an answer that bears one
//! is the word of the node that was asked, about this very request.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use domain::timestamp::Timestamp;
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::{
    clock::Clock,
    log::Nonce,
    text::{from_hex, hex},
};

/// How far a node's clock may be from the broker's, either way.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(30);

/// Two nodes that are both as far from the broker's clock as they may be, to either side.
const BETWEEN_NODES_MAX: Duration = CLOCK_SKEW_MAX.saturating_mul(2);

/// Requests that one run of a node may have under way beside an older one that still counts.
const WINDOW: u64 = 1 << 16;

/// Runs of nodes whose requests are remembered, at 8 KiB each.
const RUNS_MAX: usize = 1_000;

pub type Tag = [u8; 32];

/// The nodes' secret, for making and checking MACs.
#[derive(Clone)]
pub struct PeerKey(Hmac<Sha256>);

impl PeerKey {
    #[must_use]
    pub fn new(secret: &SecretString) -> Self {
        let key = secret.expose_secret().as_bytes();
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mac = Hmac::new_from_slice(key).expect("any length is fine");
        Self(mac)
    }

    /// Of all parts, each with its length, so that what ends one cannot begin the next.
    #[must_use]
    pub fn tag(&self, label: &str, parts: &[&[u8]]) -> Tag {
        self.sum(label, parts).finalize().into_bytes().into()
    }

    #[must_use]
    pub fn verifies(&self, tag: &[u8], label: &str, parts: &[&[u8]]) -> bool {
        self.sum(label, parts).verify_slice(tag).is_ok()
    }

    fn sum(&self, label: &str, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in std::iter::once(label.as_bytes()).chain(parts.iter().copied()) {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            mac.update(&length.to_be_bytes());
            mac.update(part);
        }
        mac
    }

    /// What the answer to a request bears.
    #[must_use]
    pub fn answer(&self, request: &Tag, status: u16, body: &[u8]) -> String {
        hex(&self.tag(ANSWER, &[request, &status.to_be_bytes(), body]))
    }

    #[must_use]
    pub fn verifies_answer(&self, answer: &str, request: &Tag, status: u16, body: &[u8]) -> bool {
        from_hex(answer.as_bytes()).is_some_and(|tag: Tag| {
            self.verifies(&tag, ANSWER, &[request, &status.to_be_bytes(), body])
        })
    }

    fn request(&self, stamp: &Stamp<'_>, path: &str, body: &[u8]) -> Tag {
        self.tag(REQUEST, &[path.as_bytes(), stamp.to_string().as_bytes(), body])
    }
}

const REQUEST: &str = "request";
const ANSWER: &str = "answer";

/// Goes before a request: its sender and receiver, its time, and its number in this run of the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp<'a> {
    from: &'a str,
    to: &'a str,
    sent_at: Timestamp,
    run: Nonce,
    count: u64,
}

impl std::fmt::Display for Stamp<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { from, to, sent_at, run, count } = self;
        write!(f, "{from} {to} {} {run} {count}", sent_at.as_micros())
    }
}

impl<'a> Stamp<'a> {
    /// A stamp and what follows it: the MAC.
    fn parse(text: &'a str) -> Option<(Self, Tag)> {
        let mut parts = text.split(' ');
        let stamp = Self {
            from: parts.next()?,
            to: parts.next()?,
            sent_at: Timestamp::from_micros(parts.next()?.parse().ok()?),
            run: parts.next()?.parse().ok()?,
            count: parts.next()?.parse().ok()?,
        };
        let tag = from_hex(parts.next()?.as_bytes())?;
        parts.next().is_none().then_some((stamp, tag))
    }
}

/// Seals the requests of one run of a node.
pub struct Sealer {
    key: PeerKey,
    node: String,
    clock: Clock,
    run: Nonce,
    count: AtomicU64,
}

impl Sealer {
    #[must_use]
    pub fn new(key: PeerKey, node: &str, clock: Clock) -> Self {
        let (run, count) = (Nonce::random(), AtomicU64::new(1));
        Self { key, node: node.to_owned(), clock, run, count }
    }

    /// The text that goes with a request, and what its answer must be bound to.
    #[must_use]
    pub fn seal(&self, to: &str, path: &str, body: &[u8]) -> (String, Tag) {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let (from, sent_at, run) = (&*self.node, self.clock.now(), self.run);
        let stamp = Stamp { from, to, sent_at, run, count };
        let tag = self.key.request(&stamp, path, body);
        (format!("{stamp} {}", hex(&tag)), tag)
    }

    #[must_use]
    pub fn key(&self) -> &PeerKey {
        &self.key
    }
}

/// Why something is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// It bears no stamp.
    Unsigned,
    /// The MAC is of something else, or of another secret.
    Forged,
    /// It was meant for another node.
    Elsewhere,
    /// The clocks are too far apart, or it is an old one.
    Late,
    /// It has been here before.
    Replayed,
    /// More nodes ask than there can be.
    Crowded,
}

impl Doubt {
    /// For metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Forged => "forged",
            Self::Elsewhere => "elsewhere",
            Self::Late => "late",
            Self::Replayed => "replayed",
            Self::Crowded => "crowded",
        }
    }
}

/// Believes requests, each once.
pub struct Gate {
    key: PeerKey,
    node: String,
    clock: Clock,
    runs: Mutex<BTreeMap<Nonce, Run>>,
}

impl Gate {
    #[must_use]
    pub fn new(key: PeerKey, node: &str, clock: Clock) -> Self {
        Self { key, node: node.to_owned(), clock, runs: Mutex::default() }
    }

    #[must_use]
    pub fn key(&self) -> &PeerKey {
        &self.key
    }

    /// Whether a request is worth reading its body.
    ///
    /// # Errors
    /// Why it is not.
    pub fn look(&self, seal: &str) -> Result<(), Doubt> {
        self.stamp(seal).map(|_| ())
    }

    /// Believes the request, this once, and tells what its answer must be bound to.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn admit(&self, seal: &str, path: &str, body: &[u8]) -> Result<Tag, Doubt> {
        let (stamp, tag) = self.stamp(seal)?;
        let text = stamp.to_string();
        let parts = [path.as_bytes(), text.as_bytes(), body];
        if !self.key.verifies(&tag, REQUEST, &parts) {
            return Err(Doubt::Forged);
        }
        self.remember(stamp.run, stamp.count).map(|()| tag)
    }

    fn stamp<'a>(&self, seal: &'a str) -> Result<(Stamp<'a>, Tag), Doubt> {
        let (stamp, tag) = Stamp::parse(seal).ok_or(Doubt::Unsigned)?;
        let now = self.clock.now();
        if stamp.to != self.node {
            Err(Doubt::Elsewhere)
        } else if is_far(now, stamp.sent_at, BETWEEN_NODES_MAX) {
            Err(Doubt::Late)
        } else {
            Ok((stamp, tag))
        }
    }

    fn remember(&self, run: Nonce, count: u64) -> Result<(), Doubt> {
        let now = self.clock.now();
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if runs.len() >= RUNS_MAX && !runs.contains_key(&run) {
            // Whatever they have said is too late by now.
            runs.retain(|_, run| now.since(run.heard_at) <= BETWEEN_NODES_MAX * 2);
            if runs.len() >= RUNS_MAX {
                return Err(Doubt::Crowded);
            }
        }
        let run = runs.entry(run).or_default();
        run.heard_at = now;
        if run.accept(count) { Ok(()) } else { Err(Doubt::Replayed) }
    }
}

/// Whether two clocks are further apart than they may be.
#[must_use]
pub fn is_far(one: Timestamp, other: Timestamp, max: Duration) -> bool {
    one.since(other).max(other.since(one)) > max
}

/// Which requests of one run have been here: the highest number, and those up to [`WINDOW`] below.
struct Run {
    highest: u64,
    bits: Box<[u64]>,
    heard_at: Timestamp,
}

impl Default for Run {
    fn default() -> Self {
        let bits = vec![0; usize::try_from(WINDOW / 64).unwrap_or_default()];
        Self { highest: 0, bits: bits.into(), heard_at: Timestamp::default() }
    }
}

impl Run {
    /// True once for each number, and never for one that is too far behind.
    fn accept(&mut self, count: u64) -> bool {
        if count > self.highest {
            let from = self.highest.max(count.saturating_sub(WINDOW));
            for passed in from + 1..=count {
                let (word, bit) = place(passed);
                self.bits[word] &= !bit;
            }
            self.highest = count;
        } else if self.highest - count >= WINDOW {
            return false;
        }
        let (word, bit) = place(count);
        let is_new = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        is_new
    }
}

fn place(count: u64) -> (usize, u64) {
    let place = count % WINDOW;
    (usize::try_from(place / 64).unwrap_or_default(), 1 << (place % 64))
}

#[cfg(test)]
mod tests;
