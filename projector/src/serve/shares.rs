//! How many shards are whose, and which read models.
//!
//! Projectors of one release share the shards. Those of two releases have all shards each, for each
//! feeds what its own code made; what both can feed, the release of the first member feeds.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

/// What a release can feed: its folds, each with the number that locks have for it.
#[derive(Clone, Debug)]
pub(super) struct ReleaseFolds(Vec<(&'static str, i64)>);

/// A projector that lives.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(super) struct Member {
    pub(super) id: i64,
    /// Its folds, in order.
    pub(super) feeds: Vec<i64>,
}

impl ReleaseFolds {
    /// By name and number of the fold.
    pub(super) fn of(folds: impl Iterator<Item = (&'static str, i32)>) -> Self {
        let number = |name: &str, fold: i32| {
            let digest = Sha256::digest(format!("{name} {fold}"));
            let half = digest.as_slice().first_chunk().copied().unwrap_or_default();
            // As one half of a positive key.
            i64::from(u32::from_be_bytes(half) & 0x7fff_ffff)
        };
        Self(folds.map(|(name, fold)| (name, number(name, fold))).collect())
    }

    pub(super) fn numbers(&self) -> Vec<i64> {
        let mut numbers: Vec<_> = self.0.iter().map(|(_, number)| *number).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Tells a release from the others that may run beside it.
    pub(super) fn release(&self) -> u16 {
        self.0.iter().fold(0, |all, (_, number)| {
            let [.., high, low] = number.to_be_bytes();
            all ^ u16::from_be_bytes([high, low])
        })
    }

    /// The ids of those that feed the same.
    pub(super) fn peers(&self, members: &[Member]) -> Vec<i64> {
        members
            .iter()
            .filter(|member| member.feeds == self.numbers())
            .map(|member| member.id)
            .collect()
    }

    /// The projections that another release can feed as well, and does. Members come in order.
    pub(super) fn ceded(&self, members: &[Member]) -> BTreeSet<&'static str> {
        let is_ceded = |number| {
            let first = members.iter().find(|member| member.feeds.contains(number));
            first.is_some_and(|first| first.feeds != self.numbers())
        };
        self.0.iter().filter(|(_, number)| is_ceded(number)).map(|(name, _)| *name).collect()
    }
}

/// Shards for the member of this id: all have the same number, and the first ones one more where it
/// does not come out even. A member that is not among them has none.
#[must_use]
pub(super) fn share(shards: u32, members: &[i64], id: i64) -> usize {
    let shards = usize::try_from(shards).unwrap_or(usize::MAX);
    let Some(rank) = members.iter().position(|member| *member == id) else { return 0 };
    shards / members.len() + usize::from(rank < shards % members.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_add_up_and_differ_by_one_at_most_and_a_stranger_has_none() {
        assert_eq!(share(4, &[], 3), 0);
        for shards in 1..20 {
            for members in 1..10 {
                let members: Vec<i64> = (0..members).map(|n| n * 7).collect();
                let shares = members.iter().map(|&id| share(shards, &members, id));
                let shares: Vec<_> = shares.collect();
                assert_eq!(share(shards, &members, 1), 0);
                assert_eq!(shares.iter().sum::<usize>(), usize::try_from(shards).unwrap());
                assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
            }
        }
    }

    fn folds(orders: i32) -> ReleaseFolds {
        ReleaseFolds::of([("orders", orders), ("stock", 1)].into_iter())
    }

    fn member(id: i64, orders: i32) -> Member {
        Member { id, feeds: folds(orders).numbers() }
    }

    #[test]
    fn a_release_shares_with_itself_and_what_two_can_feed_the_first_member_feeds() {
        let (old, new) = (folds(1), folds(2));
        assert_ne!(old.release(), new.release());
        let members = [member(3, 1), member(5, 2), member(8, 1), member(9, 2)];
        assert_eq!((old.peers(&members), new.peers(&members)), (vec![3, 8], vec![5, 9]));
        assert_eq!(old.ceded(&members), BTreeSet::new());
        assert_eq!(new.ceded(&members), BTreeSet::from(["stock"]));
        let [_, rest @ ..] = &members;
        assert_eq!(old.ceded(rest), BTreeSet::from(["stock"]));
        assert_eq!(new.ceded(rest), BTreeSet::new());
        assert_eq!(new.ceded(&[]), BTreeSet::new());
    }
}
