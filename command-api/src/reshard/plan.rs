//! Where a commit goes. Pure.
//!
//! A commit is of one stream, so it goes as a whole to the shard that its stream has among the new ones, and
//! so does its outcome, which stands in its events.
//!
//! An outcome without events names no stream, only the command's id, which follows from the stream and cannot
//! be turned back into it. Whoever repeats the command asks the shard of its stream; so the outcome goes to
//! every shard that this may be. A hash that is `old` modulo the one number and `new` modulo the other has
//! the same rest in both modulo what divides both: that leaves one shard in so many. The copies in the other
//! ones are asked for by nobody and forgotten with the day.

use domain::{
    id::StreamId,
    shard::{ShardId, shard_of},
    timestamp::Timestamp,
};
use infra::log::CommitBody;

/// From so many shards to so many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) from: u32,
    pub(super) to: u32,
    /// What was decided before is forgotten, so its outcome is not copied.
    pub(super) outcomes_since: Timestamp,
}

/// A commit of which no copy would be right.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Misplaced {
    #[error(
        "a commit of stream {stream} holds events of other streams, too, which no release writes"
    )]
    SeveralStreams { stream: StreamId },
    /// Whoever reads the stream sees a part of it only, and has told commands so.
    #[error(
        "stream {stream} has events in shard {shard}, where it does not belong: was the number of the \
         topic's partitions changed?"
    )]
    WrongShard { stream: StreamId, shard: ShardId },
}

impl Plan {
    /// Where the commit of an old shard goes: to one shard, to several if it is a barrier, or nowhere.
    pub(super) fn shards(
        &self,
        shard: ShardId,
        body: &CommitBody,
    ) -> Result<Vec<ShardId>, Misplaced> {
        match body {
            CommitBody::Events(events) => {
                let Some(first) = events.first() else { return Ok(vec![]) };
                let stream = first.stream.clone();
                if events.iter().any(|event| event.stream != stream) {
                    return Err(Misplaced::SeveralStreams { stream });
                }
                if shard_of(&stream, self.from) != shard {
                    return Err(Misplaced::WrongShard { stream, shard });
                }
                Ok(vec![shard_of(&stream, self.to)])
            }
            CommitBody::Barrier(barrier) => {
                let is_kept = barrier.recorded_at >= self.outcomes_since;
                let is_kept = is_kept && !barrier.outcomes.is_empty();
                Ok(if is_kept { self.reachable(shard).collect() } else { vec![] })
            }
        }
    }

    /// The shards that streams of an old shard may have among the new ones.
    fn reachable(&self, shard: ShardId) -> impl Iterator<Item = ShardId> {
        let common = common_divisor(self.from, self.to).max(1);
        let rest = shard.index() % common;
        (0..self.to).filter(move |new| new % common == rest).map(ShardId::new)
    }
}

const fn common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use domain::id::OrderId;
    use infra::log::{BarrierRecord, EventRecord, OutcomeRecord, RequestHash, sample};
    use uuid::Uuid;

    use super::*;

    const SINCE: Timestamp = Timestamp::from_micros(1_000);

    fn plan(from: u32, to: u32) -> Plan {
        Plan { from, to, outcomes_since: SINCE }
    }

    fn stream(number: u128) -> StreamId {
        OrderId::new(Uuid::from_u128(number)).stream()
    }

    fn event(number: u128) -> EventRecord {
        EventRecord { stream: stream(number), ..sample::event(sample::PLACE, number) }
    }

    fn barrier(at: i64, is_empty: bool) -> CommitBody {
        let outcome = OutcomeRecord {
            command_id: sample::event(sample::PLACE, 1).provenance.command_id,
            request_hash: RequestHash([1; 16]),
            status: 409,
            body: serde_json::Value::Null,
        };
        CommitBody::Barrier(BarrierRecord {
            recorded_at: Timestamp::from_micros(at),
            outcomes: if is_empty { vec![] } else { vec![outcome] },
            ..sample::barrier(sample::PLACE)
        })
    }

    fn indexes(shards: Vec<ShardId>) -> Vec<u32> {
        shards.into_iter().map(ShardId::index).collect()
    }

    #[test]
    fn a_commit_goes_where_its_stream_is_looked_for() {
        for (from, to) in [(4, 1), (4, 3), (4, 8), (3, 7)] {
            for number in 0..100 {
                let old = shard_of(&stream(number), from);
                let body = CommitBody::Events(vec![event(number)]);
                assert_eq!(
                    plan(from, to).shards(old, &body),
                    Ok(vec![shard_of(&stream(number), to)])
                );
            }
        }
    }

    #[test]
    fn an_outcome_goes_wherever_its_stream_may_be() {
        for (from, to) in [(4, 1), (4, 3), (4, 8), (6, 4), (1, 5)] {
            for number in 0..100 {
                let old = shard_of(&stream(number), from);
                let shards = plan(from, to).shards(old, &barrier(1_000, false)).unwrap();
                assert!(shards.contains(&shard_of(&stream(number), to)), "{from} {to} {number}");
            }
        }
        let shards = plan(4, 8).shards(ShardId::new(1), &barrier(1_000, false));
        assert_eq!(shards.map(indexes), Ok(vec![1, 5]));
        let shards = plan(6, 4).shards(ShardId::new(5), &barrier(1_000, false));
        assert_eq!(shards.map(indexes), Ok(vec![1, 3]));
    }

    #[test]
    fn what_nobody_asks_for_any_more_stays_behind() {
        let shards = |body| plan(4, 3).shards(ShardId::new(0), &body).map(indexes);
        assert_eq!(shards(barrier(999, false)), Ok(vec![]));
        assert_eq!(shards(barrier(1_000, true)), Ok(vec![]));
    }

    #[test]
    fn a_stream_in_two_shards_is_refused() {
        let old = shard_of(&stream(1), 4);
        let other = ShardId::new((old.index() + 1) % 4);
        let body = CommitBody::Events(vec![event(1)]);
        let refused = plan(4, 3).shards(other, &body);
        assert_eq!(refused, Err(Misplaced::WrongShard { stream: stream(1), shard: other }));
        let body = CommitBody::Events(vec![event(1), event(2)]);
        let refused = plan(4, 3).shards(old, &body);
        assert_eq!(refused, Err(Misplaced::SeveralStreams { stream: stream(1) }));
    }
}
