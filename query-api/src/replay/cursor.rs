//! Where a replay goes on: a list's cursor that is signed, for what it names is read without a doubt.
//!
//! **Invariant:** a cursor holds everything that decides what is shown beside the query itself, so that
//! a replay that was cut off shows what one shows that was not.

use domain::{shard::ShardId, timestamp::Timestamp};
use hmac::{Hmac, Mac};
use infra::{
    http::{page::Cursor, problem::Problem},
    log::{Checkpoint, EventLog, Nonce, Offset, RequestHash, follow},
    pseudonym,
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{lanes::Lane, places::unreachable, selection::Selection};

/// Bytes of the hash of the query, and of the signature.
const HASH_BYTES: usize = 16;

/// Of one replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// In microseconds; what was relative to now has been when the replay began.
    pub(super) from: Option<i64>,
    pub(super) to: Option<i64>,
    /// Of all shards.
    pub(super) lanes: Vec<LanePlace>,
}

/// In one shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LanePlace {
    end: Offset,
    is_over: bool,
    /// Of the shard, once it was opened.
    log_id: Option<u64>,
    /// Behind the last commit that was shown; none before the first.
    at: Option<Behind>,
}

/// A checkpoint in few bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Behind {
    next_offset: Offset,
    epoch: Offset,
    claim: Option<u64>,
    last_seq: u64,
}

/// Signs and reads the cursors of one query.
pub(super) struct Cursors {
    mac: Hmac<Sha256>,
    query: RequestHash,
}

impl Place {
    pub(super) fn first(from: Option<Timestamp>, to: Option<Timestamp>, ends: Vec<Offset>) -> Self {
        let micros = |time: Option<Timestamp>| time.map(Timestamp::as_micros);
        let lane = |end| LanePlace { end, is_over: false, log_id: None, at: None };
        let lanes = ends.into_iter().map(lane).collect();
        Self { from: micros(from), to: micros(to), lanes }
    }

    pub(super) fn lanes(&self) -> Vec<Lane> {
        let lane = |(shard, place): (u32, &LanePlace)| {
            let log_id = place.log_id.map(Nonce);
            let at = place.at.map(|Behind { next_offset, epoch, claim, last_seq }| {
                let claim = claim.map(Nonce);
                Checkpoint { log_id, next_offset, epoch, claim, last_seq }
            });
            let mut lane = Lane::new(ShardId::new(shard), place.end, log_id, at);
            if place.is_over {
                lane.close();
            }
            lane
        };
        (0..).zip(&self.lanes).map(lane).collect()
    }
}

impl LanePlace {
    fn of(lane: &Lane) -> Self {
        let at = lane.at.map(|at| {
            let Checkpoint { next_offset, epoch, claim, last_seq, .. } = at;
            Behind { next_offset, epoch, claim: claim.map(|Nonce(it)| it), last_seq }
        });
        let log_id = lane.log_id.map(|Nonce(it)| it);
        Self { end: lane.end, is_over: lane.is_over(), log_id, at }
    }
}

impl Cursors {
    pub(super) fn new(key: &SecretString, selection: &Selection) -> Self {
        let query = RequestHash::of(&[selection.text.as_bytes()]);
        Self { mac: pseudonym::derived(key, "replay cursor"), query }
    }

    /// Of a replay between these times.
    pub(super) fn write(
        &self,
        (from, to): (Option<Timestamp>, Option<Timestamp>),
        lanes: &[Lane],
    ) -> Cursor {
        let lanes = lanes.iter().map(LanePlace::of).collect();
        self.seal(&Place { lanes, ..Place::first(from, to, Vec::new()) })
    }

    fn seal(&self, place: &Place) -> Cursor {
        // Numbers always serialise.
        let mut bytes = rmp_serde::to_vec(place).unwrap_or_default();
        bytes.extend(self.query.0);
        let mac = self.mac.clone().chain_update(&bytes).finalize().into_bytes();
        bytes.extend(mac.iter().take(HASH_BYTES));
        Cursor::of_bytes(&bytes)
    }

    /// # Errors
    /// 400 if the cursor was not given out for this query and this log.
    pub(super) async fn read(&self, cursor: &Cursor, log: &dyn EventLog) -> Result<Place, Problem> {
        let (place, query) =
            cursor.bytes().and_then(|bytes| self.open(&bytes)).ok_or_else(|| {
                let detail =
                    "the cursor was not given out here; send back what a replay told, unchanged";
                Problem::bad_request("invalid_cursor", detail)
            })?;
        if query != self.query.0 {
            let detail = "the cursor is of a replay that asked for something else";
            return Err(Problem::bad_request("cursor_of_another_query", detail));
        }
        if !is_of(&place, log).await? {
            let detail = "the cursor is of another log than the one that is here";
            return Err(Problem::bad_request("cursor_of_another_log", detail));
        }
        Ok(place)
    }

    /// The place and the query of a cursor that was signed here.
    fn open(&self, bytes: &[u8]) -> Option<(Place, [u8; HASH_BYTES])> {
        let (signed, mac) = bytes.split_last_chunk::<HASH_BYTES>()?;
        self.mac.clone().chain_update(signed).verify_truncated_left(mac).ok()?;
        let (place, query) = signed.split_last_chunk::<HASH_BYTES>()?;
        Some((rmp_serde::from_slice(place).ok()?, *query))
    }
}

/// One shard tells: the topic of a log is made anew as a whole.
async fn is_of(place: &Place, log: &dyn EventLog) -> Result<bool, Problem> {
    if place.lanes.len() != usize::try_from(log.shard_count()).unwrap_or_default() {
        return Ok(false);
    }
    let mut known = (0..).zip(&place.lanes).filter_map(|(shard, it)| Some((shard, it.log_id?)));
    let Some((shard, log_id)) = known.next() else { return Ok(true) };
    let found = follow::log_id(log, ShardId::new(shard)).await.map_err(unreachable)?;
    Ok(found == Some(Nonce(log_id)))
}

#[cfg(test)]
mod tests {
    use infra::log::memory::MemoryLog;

    use super::*;

    fn cursors(key: &str, query: &str) -> Cursors {
        let selection = Selection { text: query.to_owned(), ..Selection::default() };
        Cursors::new(&key.into(), &selection)
    }

    fn place() -> Place {
        let at = Behind { next_offset: 9, epoch: 0, claim: Some(u64::MAX), last_seq: 5 };
        let (from, to) = (Some(Timestamp::from_micros(5)), None);
        let mut place = Place::first(from, to, vec![10, 20]);
        let of_shard = LanePlace { log_id: None, at: Some(at), is_over: true, end: 10 };
        place.lanes[0] = of_shard;
        place
    }

    async fn refusal(cursors: &Cursors, cursor: &Cursor, log: &MemoryLog) -> String {
        cursors.read(cursor, log).await.expect_err("another").code().to_owned()
    }

    #[tokio::test]
    async fn a_cursor_tells_its_own_replay_where_it_was() {
        let (log, mine) = (MemoryLog::new(2), cursors("key", "type=order.*"));
        let times = (Some(Timestamp::from_micros(5)), None);
        let cursor = mine.write(times, &place().lanes());
        assert_eq!(mine.read(&cursor, &log).await.unwrap(), place());
        let other = cursors("key", "type=cart.*");
        assert_eq!(refusal(&other, &cursor, &log).await, "cursor_of_another_query");
        assert_eq!(
            refusal(&cursors("other", "type=order.*"), &cursor, &log).await,
            "invalid_cursor"
        );
        assert_eq!(refusal(&mine, &cursor, &MemoryLog::new(3)).await, "cursor_of_another_log");
        let mut of_other = place();
        of_other.lanes[1].log_id = Some(8);
        assert_eq!(refusal(&mine, &mine.seal(&of_other), &log).await, "cursor_of_another_log");
    }

    #[tokio::test]
    async fn a_cursor_that_was_changed_is_none() {
        let (log, mine) = (MemoryLog::new(2), cursors("key", ""));
        let bytes = mine.seal(&place()).bytes().unwrap();
        for changed in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[changed] ^= 1;
            assert_eq!(refusal(&mine, &Cursor::of_bytes(&forged), &log).await, "invalid_cursor");
        }
        for strange in [&[][..], &bytes[1..], &bytes[..20]] {
            assert_eq!(refusal(&mine, &Cursor::of_bytes(strange), &log).await, "invalid_cursor");
        }
        assert_eq!(refusal(&mine, &Cursor::encode(&5), &log).await, "invalid_cursor");
    }

    #[test]
    fn the_longest_cursor_is_not_too_long_for_64_shards() {
        let (end, last_seq) = (1 << 31, 1 << 31);
        let at = Behind { next_offset: end, epoch: end, claim: Some(u64::MAX), last_seq };
        let lane = LanePlace { end, is_over: false, log_id: Some(u64::MAX), at: Some(at) };
        let time = Some(Timestamp::from_micros(1 << 52));
        let place = Place { lanes: vec![lane; 64], ..Place::first(time, time, Vec::new()) };
        let cursor = cursors("key", "").seal(&place);
        assert!(cursor.as_str().len() <= 4_096, "{}", cursor.as_str().len());
    }
}
