//! Whether the query API replays the log, and how much of it at once.

use secrecy::{ExposeSecret, SecretString};

use super::{Kafka, Reader, within};

/// Shorter secrets could be guessed.
const KEY_LENGTH_MIN: usize = 32;

crate::settings! {
    /// Makes the pseudonyms that stand for personal data in replays, and signs the cursors of replays;
    /// the same on all query nodes. Another key makes other pseudonyms, and the cursors that are out
    /// worthless. Without it there are no replays, and the query API needs no `kafka.*`.
    KEY = "replay.key", "at least 32 characters, random", None;
    /// Replays that one query node runs at once; more are refused with 503.
    CONCURRENT_MAX = "replay.concurrent_max", "a number from 1 to 64", Some("4");
}

#[derive(Clone, Debug)]
pub struct Replay {
    pub key: SecretString,
    pub concurrent_max: usize,
    pub kafka: Kafka,
}

impl Replay {
    /// `Some(None)` where it is left off.
    pub fn read(reader: &mut Reader<'_>) -> Option<Option<Self>> {
        let key = reader.optional_secret(&KEY);
        let concurrent_max = reader.get_with(&CONCURRENT_MAX, within(1..=64));
        let Some(key) = key? else { return Some(None) };
        if key.expose_secret().chars().count() < KEY_LENGTH_MIN {
            return reader.refuse(&KEY);
        }
        let kafka = Kafka::read(reader);
        Some(Some(Self { key, concurrent_max: concurrent_max?, kafka: kafka? }))
    }
}
