//! How far a client has seen: per shard, the offset after the last record that it depends on.
//!
//! A command's answer carries a position; a query that sends it back sees at least that far.
//! For clients it is one opaque text.

use std::{collections::BTreeMap, fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Buf;
use domain::shard::ShardId;

use crate::{
    http::problem::Problem,
    log::{LogId, Nonce, Offset},
    text::serde_as_text,
};

/// Changes only if what follows it does.
const VERSION: u8 = 1;
/// Shard, log id and offset, big-endian.
const ENTRY_BYTES: usize = 4 + 8 + 8;
/// Entries that tokens may hold: far more shards than there are. More of them are refused.
const ENTRIES_MAX: usize = 4096;

/// A set of (shard, log, offset after the last record).
///
/// The log's id is part of the key: positions in a topic and in one that took its place cannot be
/// compared, and who knows the log tells them apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position(BTreeMap<(ShardId, LogId), Offset>);

/// Text that is not a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a Tradewind-Position: send back what an answer carried, unchanged")]
pub struct InvalidPosition;

/// One shard's part of a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub shard: ShardId,
    pub log_id: LogId,
    pub next_offset: Offset,
}

impl Position {
    #[must_use]
    pub fn of(shard: ShardId, log_id: LogId, next_offset: Offset) -> Self {
        Self(BTreeMap::from([((shard, log_id), next_offset)]))
    }

    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.0.iter().map(|(&(shard, log_id), &next_offset)| Entry { shard, log_id, next_offset })
    }

    /// What it says of one shard.
    #[must_use]
    pub fn in_shard(&self, shard: ShardId) -> Self {
        Self(self.0.iter().filter(|((of, _), _)| *of == shard).map(|(at, to)| (*at, *to)).collect())
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Goes at least as far as `other`, too.
    pub fn merge(&mut self, other: &Self) {
        for (key, next_offset) in &other.0 {
            let mine = self.0.entry(*key).or_insert(*next_offset);
            *mine = (*mine).max(*next_offset);
        }
    }

    /// Reads tokens that are joined by commas.
    ///
    /// # Errors
    /// One of them is not a position.
    pub fn parse(text: &str) -> Result<Self, InvalidPosition> {
        let mut position = Self::default();
        for token in text.split(',') {
            position.merge(&Self::parse_token(token.trim())?);
            if position.0.len() > ENTRIES_MAX {
                return Err(InvalidPosition);
            }
        }
        Ok(position)
    }

    fn parse_token(token: &str) -> Result<Self, InvalidPosition> {
        if token.len() > (1 + ENTRIES_MAX * ENTRY_BYTES) * 4 / 3 + 1 {
            return Err(InvalidPosition);
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_base64| InvalidPosition)?;
        let (entries, rest) = match bytes.split_first() {
            Some((&VERSION, entries)) => entries.as_chunks::<ENTRY_BYTES>(),
            _ => return Err(InvalidPosition),
        };
        if !rest.is_empty() {
            return Err(InvalidPosition);
        }
        let mut position = Self::default();
        for entry in entries {
            position.merge(&Self::parse_entry(entry)?);
        }
        Ok(position)
    }

    fn parse_entry(mut bytes: &[u8]) -> Result<Self, InvalidPosition> {
        let (shard, log_id, offset) = (bytes.get_u32(), bytes.get_u64(), bytes.get_i64());
        if offset < 0 {
            return Err(InvalidPosition);
        }
        Ok(Self::of(ShardId::new(shard), Nonce(log_id), offset))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::with_capacity(1 + self.0.len() * ENTRY_BYTES);
        bytes.push(VERSION);
        for ((shard, log_id), next_offset) in &self.0 {
            bytes.extend_from_slice(&shard.index().to_be_bytes());
            bytes.extend_from_slice(&log_id.0.to_be_bytes());
            bytes.extend_from_slice(&next_offset.to_be_bytes());
        }
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        Self::parse(text)
    }
}

serde_as_text!(Position);

impl From<InvalidPosition> for Problem {
    fn from(invalid: InvalidPosition) -> Self {
        Self::bad_request("invalid_position", invalid.to_string())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(shard: u32, log: u64, offset: Offset) -> Position {
        Position::of(ShardId::new(shard), Nonce(log), offset)
    }

    proptest! {
        #[test]
        fn text_keeps_every_entry(
            entries in proptest::collection::vec((0..9_u32, 0..3_u64, 0..i64::MAX), 0..20),
        ) {
            let mut position = Position::default();
            for (shard, log, offset) in entries {
                position.merge(&at(shard, log, offset));
            }
            prop_assert_eq!(Position::parse(&position.to_string()), Ok(position));
        }

        #[test]
        fn no_text_breaks_the_parser(text in ".{0,60}") {
            Position::parse(&text).map(|position| position.to_string()).ok();
        }
    }

    #[test]
    fn merging_goes_as_far_as_both() {
        let joined = format!("{}, {},{}", at(1, 7, 10), at(1, 7, 4), at(2, 7, 5));
        let mut expected = at(1, 7, 10);
        expected.merge(&at(2, 7, 5));
        assert_eq!(Position::parse(&joined), Ok(expected));
    }

    #[test]
    fn positions_of_two_logs_stay_apart() {
        let mut both = at(1, 7, 10);
        both.merge(&at(1, 8, 4));
        assert_eq!(both.entries().count(), 2);
    }

    #[test]
    fn other_text_is_refused() {
        let future = URL_SAFE_NO_PAD.encode([2, 0, 0]);
        let cut = &at(1, 2, 3).to_string()[..12];
        let negative = at(1, 2, -3).to_string();
        for bad in ["", "latest", "AQ==", ",", &future, cut, &negative] {
            assert_eq!(Position::parse(bad), Err(InvalidPosition), "{bad:?}");
        }
    }
}
