//! Whether the query API replays the log, and how much of it at once.

use secrecy::{ExposeSecret, SecretString};

use super::{Kafka, Reader, within};

/// Shorter secrets could be guessed.
const KEY_LENGTH_MIN: usize = 32;

crate::settings! {
    /// Makes the pseudonyms that stand for personal data in replays and in the views of analysts, and signs
    /// the cursors of replays; the same on all query nodes and projectors, which keep for PostgreSQL what
    /// is made of it. Another key makes other pseudonyms, and the cursors that are out worthless. Without
    /// it there are no replays, the query API needs no `kafka.*`, and views show nothing in place of
    /// personal data.
    KEY = "replay.key", "at least 32 characters, random", None;
    /// Replays that one query node runs at once; more are refused with 503.
    CONCURRENT_MAX = "replay.concurrent_max", "a number from 1 to 64", Some("4");
    /// Replays of one caller that a query node runs at once; more are refused with 429.
    CONCURRENT_MAX_EACH = "replay.concurrent_max_each", "a number from 1 to 64", Some("2");
    /// What all replays of one query node together may send, in MiB a second: a slow one leaves the processor and
    /// the brokers to those who sell.
    BANDWIDTH_MAX = "replay.bandwidth_max", "a number from 1 to 2000", Some("32");
}

#[derive(Clone, Debug)]
pub struct Replay {
    pub key: SecretString,
    pub limits: ReplayLimits,
    pub kafka: Kafka,
}

#[derive(Clone, Copy, Debug)]
pub struct ReplayLimits {
    pub concurrent_max: usize,
    pub concurrent_max_each: usize,
    pub bytes_per_second: u32,
}

impl Replay {
    /// `Some(None)` where it is left off.
    pub fn read(reader: &mut Reader<'_>) -> Option<Option<Self>> {
        let key = Self::read_key(reader);
        let concurrent_max = reader.get_with(&CONCURRENT_MAX, within(1..=64));
        let concurrent_max_each = reader.get_with(&CONCURRENT_MAX_EACH, within(1..=64));
        let bandwidth_max = reader.get_with(&BANDWIDTH_MAX, within(1..=2_000_u32));
        let Some(key) = key? else { return Some(None) };
        let kafka = Kafka::read(reader);
        let limits = ReplayLimits {
            concurrent_max: concurrent_max?,
            concurrent_max_each: concurrent_max_each?,
            bytes_per_second: bandwidth_max? << 20,
        };
        Some(Some(Self { key, limits, kafka: kafka? }))
    }

    /// The key alone, `Some(None)` without one.
    pub fn read_key(reader: &mut Reader<'_>) -> Option<Option<SecretString>> {
        reader.leave([&CONCURRENT_MAX]);
        let key = reader.optional_secret(&KEY)?;
        let is_short = |key: &SecretString| key.expose_secret().chars().count() < KEY_LENGTH_MIN;
        if key.as_ref().is_some_and(is_short) { reader.refuse(&KEY) } else { Some(key) }
    }
}
