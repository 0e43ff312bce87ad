//! How many shards are whose.

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
    fn the_shares_add_up_and_differ_by_one_at_most() {
        for shards in 1..20 {
            for members in 1..10 {
                let members: Vec<i64> = (0..members).map(|n| n * 7).collect();
                let shares = members.iter().map(|&id| share(shards, &members, id));
                let shares: Vec<_> = shares.collect();
                assert_eq!(shares.iter().sum::<usize>(), usize::try_from(shards).unwrap());
                assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
            }
        }
    }

    #[test]
    fn a_stranger_has_no_share() {
        assert_eq!(share(4, &[1, 2], 3), 0);
        assert_eq!(share(4, &[], 3), 0);
    }
}
