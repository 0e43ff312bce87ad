//! How long what clients were told of was not in a read model yet.

use std::collections::BTreeMap;

use super::history::{Command, Fault, Look, Micros, SlowCommit};
use super::plan::Kind;

/// What befalls one projection holds up the others for this long at most.
pub(super) const LAG_MAX: Micros = 1_000_000;
/// A commit may take so long on any day; projections must live with it.
pub(super) const COMMIT_USUAL_MAX: Micros = 100_000;

/// How far each shard was acknowledged to be, and since when: both grow.
pub(super) struct Acknowledged(BTreeMap<u32, Vec<(Micros, i64)>>);

impl Acknowledged {
    pub(super) fn of(commands: &[Command]) -> Self {
        let mut shards: BTreeMap<u32, Vec<(Micros, i64)>> = BTreeMap::new();
        for answer in commands.iter().filter_map(|command| command.answer.as_ref()) {
            for (shard, offset) in &answer.seen {
                shards.entry(*shard).or_default().push((answer.at, *offset));
            }
        }
        for told in shards.values_mut() {
            told.sort_unstable();
            let mut furthest = i64::MIN;
            told.retain(|(_, offset)| {
                let is_further = *offset > furthest;
                furthest = furthest.max(*offset);
                is_further
            });
        }
        Self(shards)
    }

    /// For how long something had been acknowledged that was not applied at this look.
    pub(super) fn lag(&self, look: &Look) -> Micros {
        self.behind_since(look).map_or(0, |since| look.at.saturating_sub(since))
    }

    /// When the first that was not applied at this look had been acknowledged.
    fn behind_since(&self, look: &Look) -> Option<Micros> {
        let told = self.0.get(&look.shard).map_or(&[][..], Vec::as_slice);
        let applied = told.partition_point(|(_, offset)| *offset <= look.next_offset);
        told.get(applied).map(|(since, _)| *since)
    }

    /// The lag without what the disk took meanwhile, beyond the usual, for commits that nobody held up.
    fn own_lag(&self, look: &Look, slow_commits: &[SlowCommit]) -> Micros {
        let Some(since) = self.behind_since(look) else { return 0 };
        let overlap = |it: &SlowCommit| it.ended.min(look.at).saturating_sub(it.began.max(since));
        let beyond = |it: &SlowCommit| overlap(it).saturating_sub(COMMIT_USUAL_MAX);
        let of_disk: Micros = slow_commits.iter().map(beyond).sum();
        look.at.saturating_sub(since).saturating_sub(of_disk)
    }
}

/// What was seen while something befell a projection.
#[derive(Clone, Copy)]
pub(super) struct Watched<'e> {
    pub(super) looks: &'e [Look],
    pub(super) slow_commits: &'e [SlowCommit],
}

/// The longest lag of the projections beside one that something befell, by what it was; those that are
/// too long are violations.
pub(super) fn check(
    commands: &[Command],
    Watched { looks, slow_commits }: Watched<'_>,
    faults: &[Fault],
    violations: &mut Vec<String>,
) -> BTreeMap<Kind, u64> {
    let acknowledged = Acknowledged::of(commands);
    let mut longest_ms = BTreeMap::new();
    for fault in faults {
        let meanwhile = looks.iter().filter(|it| (fault.began..fault.healed).contains(&it.at));
        let Some((lag, look)) = meanwhile
            .map(|it| (acknowledged.own_lag(it, slow_commits), it))
            .max_by_key(|(lag, _)| *lag)
        else {
            continue;
        };
        let kept: &mut u64 = longest_ms.entry(fault.kind).or_default();
        *kept = (*kept).max(lag / 1_000);
        if lag > LAG_MAX {
            violations.push(format!(
                "{} was {} ms behind in shard {}; meanwhile: {}",
                look.projection,
                lag / 1_000,
                look.shard,
                fault.what
            ));
        }
    }
    longest_ms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::action::Action;
    use crate::faults::history::Answer;

    fn answered(at: Micros, offset: i64) -> Command {
        let answer = Answer { at, seen: [(0, offset)].into(), ..Answer::default() };
        Command {
            client: 1,
            key: String::new(),
            command_id: uuid::Uuid::nil(),
            action: Action::Receive { sku: "tea-1".to_owned(), quantity: 1 },
            if_match: None,
            began: 0,
            tries: 1,
            answer: Some(answer),
        }
    }

    fn look(at: Micros, next_offset: i64) -> Look {
        Look { at, projection: "carts".to_owned(), shard: 0, next_offset }
    }

    #[test]
    fn a_lag_begins_when_the_first_that_is_missing_was_acknowledged() {
        let told = Acknowledged::of(&[answered(30, 9), answered(10, 5), answered(20, 4)]);
        let check = |at, next_offset, expected| {
            assert_eq!(told.lag(&look(at, next_offset)), expected, "{next_offset} at {at}");
        };
        check(100, 9, 0);
        check(100, 8, 70);
        check(100, 4, 90);
        check(25, 5, 0);
    }

    #[test]
    fn who_is_behind_for_too_long_is_a_violation() {
        let fault = Fault {
            kind: Kind::ProjectionLocked,
            what: "projection_locked: stock".to_owned(),
            began: 1_000,
            healed: 9_000_000,
        };
        let check = |looks: &[Look], slow: &[(Micros, Micros)]| {
            let slow_commits: Vec<_> =
                slow.iter().map(|&(began, ended)| SlowCommit { began, ended }).collect();
            let watched = Watched { looks, slow_commits: &slow_commits };
            let mut violations = Vec::new();
            let faults = std::slice::from_ref(&fault);
            let longest = super::check(&[answered(2_000_000, 5)], watched, faults, &mut violations);
            (longest[&Kind::ProjectionLocked], violations)
        };
        assert_eq!(check(&[look(2_400_000, 4), look(3_000_000, 5)], &[]), (400, vec![]));
        let told = "carts was 1500 ms behind in shard 0; meanwhile: projection_locked: stock";
        assert_eq!(check(&[look(3_500_000, 4)], &[]), (1_500, vec![told.to_owned()]));
        let of_disk = [(1_000_000, 2_200_000), (2_400_000, 3_000_000), (3_450_000, 4_000_000)];
        assert_eq!(check(&[look(3_500_000, 4)], &of_disk), (900, vec![]));
        let all_along: Vec<_> = (0..20).map(|n| (n * 90_000, n * 90_000 + 90_000)).collect();
        assert_eq!(check(&[look(3_500_000, 4)], &all_along), (1_500, vec![told.to_owned()]));
    }
}
