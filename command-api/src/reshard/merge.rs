//! In which order the commits of the old shards come. Pure.
//!
//! By the time of their recording, and where that is the same, by shard. Those of one shard keep the order
//! that they have there, whatever their times say: clocks of nodes differ.
//!
//! **Invariant:** the order follows from the commits alone, and not from when they come in. So a copy that is
//! made again is the same copy.

use std::collections::{BTreeMap, VecDeque};

use domain::shard::ShardId;
use infra::log::Commit;

use super::commit::recorded_at;

#[derive(Debug)]
pub(super) struct Merge(BTreeMap<ShardId, Queue>);

/// Of one shard: what has been read and has not had its turn.
#[derive(Debug, Default)]
struct Queue {
    commits: VecDeque<Commit>,
    is_over: bool,
}

impl Merge {
    pub(super) fn of(shards: impl IntoIterator<Item = ShardId>) -> Self {
        Self(shards.into_iter().map(|shard| (shard, Queue::default())).collect())
    }

    /// A shard whose next commit has to be known before it can be told which one comes next.
    pub(super) fn wants(&self) -> Option<ShardId> {
        let is_open = |queue: &Queue| queue.commits.is_empty() && !queue.is_over;
        self.0.iter().find(|(_, queue)| is_open(queue)).map(|(shard, _)| *shard)
    }

    /// The next commits of a shard, in their order.
    pub(super) fn feed(&mut self, shard: ShardId, commits: Vec<Commit>) {
        self.0.entry(shard).or_default().commits.extend(commits);
    }

    /// Nothing more will come of a shard.
    pub(super) fn end(&mut self, shard: ShardId) {
        self.0.entry(shard).or_default().is_over = true;
    }

    /// The commit that comes next; none while one is wanted, or if all shards are over.
    pub(super) fn next(&mut self) -> Option<(ShardId, Commit)> {
        if self.wants().is_some() {
            return None;
        }
        let firsts =
            self.0.iter().filter_map(|(shard, queue)| Some((shard, queue.commits.front()?)));
        let first = firsts.min_by_key(|(shard, commit)| (recorded_at(&commit.body), **shard));
        let shard = *first?.0;
        let commit = self.0.get_mut(&shard)?.commits.pop_front()?;
        Some((shard, commit))
    }
}

#[cfg(test)]
mod tests {
    use domain::timestamp::Timestamp;
    use infra::log::{BarrierRecord, CommitBody, Place, sample};
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn commit(seq: u64, at: i64) -> Commit {
        let place = Place { seq, ..sample::PLACE };
        let recorded_at = Timestamp::from_micros(at);
        let body = CommitBody::Barrier(BarrierRecord { recorded_at, ..sample::barrier(place) });
        Commit { epoch: 0, seq, next_offset: 0, body }
    }

    /// Shard, number and time of all commits, which come in pieces of that size.
    fn merged(shards: &[Vec<i64>], piece: usize) -> Vec<(u32, u64, i64)> {
        let mut left: BTreeMap<_, VecDeque<_>> = (0..)
            .map(ShardId::new)
            .zip(shards)
            .map(|(shard, times)| {
                (shard, (1..).zip(times).map(|(seq, at)| commit(seq, *at)).collect())
            })
            .collect();
        let mut merge = Merge::of(left.keys().copied());
        let mut all = Vec::new();
        loop {
            if let Some(shard) = merge.wants() {
                let left = left.get_mut(&shard).expect("a shard");
                let next: Vec<_> = left.drain(..piece.min(left.len())).collect();
                if next.is_empty() {
                    merge.end(shard)
                } else {
                    merge.feed(shard, next)
                }
                continue;
            }
            let Some((shard, commit)) = merge.next() else { return all };
            all.push((shard.index(), commit.seq, recorded_at(&commit.body).as_micros()));
        }
    }

    #[test]
    fn the_earliest_comes_first_and_of_the_same_time_the_lower_shard() {
        let all = merged(&[vec![2, 5], vec![], vec![1, 2, 9]], 1);
        assert_eq!(all, [(2, 1, 1), (0, 1, 2), (2, 2, 2), (0, 2, 5), (2, 3, 9)]);
    }

    #[test]
    fn a_shard_whose_clock_went_back_keeps_its_order() {
        let all = merged(&[vec![10, 3], vec![5, 20]], 1);
        assert_eq!(all, [(1, 1, 5), (0, 1, 10), (0, 2, 3), (1, 2, 20)]);
    }

    proptest! {
        #[test]
        fn all_come_once_in_the_order_of_their_shards_however_they_are_read(
            shards in vec(vec(0..40_i64, 0..12), 1..5), piece in 1..6_usize,
        ) {
            let all = merged(&shards, piece);
            prop_assert_eq!(&all, &merged(&shards, 1));
            for (shard, times) in (0..).zip(&shards) {
                let of_shard = all.iter().filter(|(of, ..)| *of == shard);
                let told: Vec<_> = of_shard.map(|(_, seq, at)| (*seq, *at)).collect();
                prop_assert_eq!(told, (1..).zip(times.iter().copied()).collect::<Vec<_>>());
            }
            if shards.iter().all(|times| times.is_sorted()) {
                prop_assert!(all.iter().map(|(.., at)| at).is_sorted());
            }
        }
    }
}
