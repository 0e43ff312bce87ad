//! Where a replay goes on: a list's cursor that is signed, for what it names is read without a doubt.
//!
//! **Invariant:** a cursor holds everything that decides what is shown beside the query itself, so that
//! a replay that was cut off shows what one shows that was not.

use domain::timestamp::Timestamp;
use hmac::{Hmac, Mac};
use infra::{
    http::{page::Cursor, problem::Problem},
    log::{Checkpoint, EventLog, LogId, Offset, RequestHash, follow},
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{mask::derived, places::unreachable, selection::Selection};

/// Of one replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    /// In microseconds; what was relative to now has been when the replay began.
    pub(super) from: Option<i64>,
    pub(super) to: Option<i64>,
    /// The last shard that was opened, and its log.
    pub(super) log: Option<(u32, LogId)>,
    /// The shard that is read.
    pub(super) shard: u32,
    /// Behind its last commit that was shown; none before the first.
    pub(super) at: Option<Checkpoint>,
    /// Of all shards.
    pub(super) ends: Vec<Offset>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    query: RequestHash,
    place: Place,
    mac: RequestHash,
}

/// Signs and reads the cursors of one query.
pub(super) struct Cursors {
    mac: Hmac<Sha256>,
    query: RequestHash,
}

impl Place {
    pub(super) fn first(from: Option<Timestamp>, to: Option<Timestamp>, ends: Vec<Offset>) -> Self {
        let micros = |time: Option<Timestamp>| time.map(Timestamp::as_micros);
        Self { from: micros(from), to: micros(to), log: None, shard: 0, at: None, ends }
    }
}

impl Cursors {
    pub(super) fn new(key: &SecretString, selection: &Selection) -> Self {
        let query = RequestHash::of(&[selection.text.as_bytes()]);
        Self { mac: derived(key, "replay cursor"), query }
    }

    pub(super) fn write(&self, place: &Place) -> Cursor {
        let place = place.clone();
        Cursor::encode(&Signed { query: self.query, mac: self.sign(self.query, &place), place })
    }

    /// # Errors
    /// 400 if the cursor was not given out for this query and this log.
    pub(super) async fn read(&self, cursor: &Cursor, log: &dyn EventLog) -> Result<Place, Problem> {
        let Signed { query, place, mac } = cursor.decode()?;
        if self.mac_of(query, &place).verify_truncated_left(&mac.0).is_err() {
            let detail =
                "the cursor was not given out here; send back what a replay told, unchanged";
            return Err(Problem::bad_request("invalid_cursor", detail));
        }
        if query != self.query {
            let detail = "the cursor is of a replay that asked for something else";
            return Err(Problem::bad_request("cursor_of_another_query", detail));
        }
        let is_of_this_log = match place.log {
            _ if place.ends.len() != usize::try_from(log.shard_count()).unwrap_or_default() => {
                false
            }
            None => true,
            Some((shard, id)) => {
                let shard = domain::shard::ShardId::new(shard);
                follow::log_id(log, shard).await.map_err(unreachable)? == Some(id)
            }
        };
        if !is_of_this_log {
            let detail = "the cursor is of another log than the one that is here";
            return Err(Problem::bad_request("cursor_of_another_log", detail));
        }
        Ok(place)
    }

    fn sign(&self, query: RequestHash, place: &Place) -> RequestHash {
        let mac = self.mac_of(query, place).finalize().into_bytes();
        let mut half = [0; 16];
        half.iter_mut().zip(mac).for_each(|(to, from)| *to = from);
        RequestHash(half)
    }

    fn mac_of(&self, query: RequestHash, place: &Place) -> Hmac<Sha256> {
        // Numbers and texts always serialise.
        let place = serde_json::to_vec(place).unwrap_or_default();
        self.mac.clone().chain_update(query.0).chain_update(place)
    }
}

#[cfg(test)]
mod tests {
    use infra::log::{Nonce, memory::MemoryLog};

    use super::*;

    fn cursors(key: &str, query: &str) -> Cursors {
        let selection = Selection { text: query.to_owned(), ..Selection::default() };
        Cursors::new(&key.into(), &selection)
    }

    fn place() -> Place {
        let at = Checkpoint { log_id: Some(Nonce(7)), next_offset: 9, ..Checkpoint::START };
        let (from, to) = (Some(Timestamp::from_micros(5)), None);
        Place { at: Some(at), ..Place::first(from, to, vec![10, 20]) }
    }

    async fn refusal(cursors: &Cursors, cursor: &Cursor, log: &MemoryLog) -> String {
        cursors.read(cursor, log).await.expect_err("another").code().to_owned()
    }

    #[tokio::test]
    async fn a_cursor_tells_its_own_replay_where_it_was() {
        let (log, mine) = (MemoryLog::new(2), cursors("key", "type=order.*"));
        let cursor = mine.write(&place());
        assert_eq!(mine.read(&cursor, &log).await.unwrap(), place());
        let other = cursors("key", "type=cart.*");
        assert_eq!(refusal(&other, &cursor, &log).await, "cursor_of_another_query");
        assert_eq!(
            refusal(&cursors("other", "type=order.*"), &cursor, &log).await,
            "invalid_cursor"
        );
        assert_eq!(refusal(&mine, &cursor, &MemoryLog::new(3)).await, "cursor_of_another_log");
        let of_other = mine.write(&Place { log: Some((0, Nonce(8))), ..place() });
        assert_eq!(refusal(&mine, &of_other, &log).await, "cursor_of_another_log");
    }

    #[tokio::test]
    async fn a_cursor_that_was_changed_is_none() {
        let (log, mine) = (MemoryLog::new(2), cursors("key", ""));
        let Signed { query, place, mac } = mine.write(&place()).decode().unwrap();
        let forged = Place { ends: vec![10, 21], ..place };
        let forged = Cursor::encode(&Signed { query, place: forged, mac });
        assert_eq!(refusal(&mine, &forged, &log).await, "invalid_cursor");
        assert_eq!(refusal(&mine, &Cursor::encode(&5), &log).await, "invalid_cursor");
    }

    #[test]
    fn the_longest_cursor_is_not_too_long_for_64_shards() {
        let log = Some((63, Nonce(u64::MAX)));
        let at = Checkpoint {
            log_id: Some(Nonce(u64::MAX)),
            next_offset: 1 << 40,
            epoch: 1 << 40,
            claim: Some(Nonce(u64::MAX)),
            last_seq: 1 << 40,
        };
        let time = Some(Timestamp::from_micros(1 << 52));
        let place = Place {
            log,
            at: Some(at),
            shard: 63,
            ..Place::first(time, time, vec![99_999_999_999; 64])
        };
        let cursor = cursors("key", "").write(&place);
        assert!(cursor.as_str().len() <= 2_048, "{}", cursor.as_str().len());
    }
}
