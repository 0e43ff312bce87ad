//! How long what clients were told of was not in a read model yet.

use std::collections::BTreeMap;

use super::history::{Command, Fault, Look, Micros};
use super::plan::Kind;

/// What befalls one projection holds up the others for this long at most.
pub(super) const LAG_MAX: Micros = 1_000_000;

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
        let told = self.0.get(&look.shard).map_or(&[][..], Vec::as_slice);
        let applied = told.partition_point(|(_, offset)| *offset <= look.next_offset);
        told.get(applied).map_or(0, |(since, _)| look.at.saturating_sub(*since))
    }
}

/// When any command was answered.
struct Answers(Vec<Micros>);

impl Answers {
    fn of(commands: &[Command]) -> Self {
        let answers = commands.iter().filter_map(|command| command.answer.as_ref());
        let mut times: Vec<_> = answers.map(|answer| answer.at).collect();
        times.sort_unstable();
        Self(times)
    }

    fn longest_silence(&self, from: Micros, until: Micros) -> Micros {
        let first = self.0.partition_point(|at| *at < from);
        let within = self.0.get(first..).unwrap_or_default().iter().copied();
        let mut last = from;
        let silences = within.take_while(|at| *at < until).chain([until]).map(|at| {
            let silence = at - last;
            last = at;
            silence
        });
        silences.max().unwrap_or_default()
    }
}

/// The longest lag of the projections beside one that something befell, by what it was; those that are
/// too long are violations. For as long as no command was answered anywhere the machine stood still, and
/// no projection held up another.
pub(super) fn check(
    commands: &[Command],
    looks: &[Look],
    faults: &[Fault],
    violations: &mut Vec<String>,
) -> BTreeMap<Kind, u64> {
    let (acknowledged, answers) = (Acknowledged::of(commands), Answers::of(commands));
    let mut longest_ms = BTreeMap::new();
    for fault in faults {
        let meanwhile = looks.iter().filter(|it| (fault.began..fault.healed).contains(&it.at));
        let lags = meanwhile.map(|look| {
            let lag = acknowledged.lag(look);
            let stood_still = answers.longest_silence(look.at.saturating_sub(lag), look.at);
            (lag.saturating_sub(stood_still), look)
        });
        let Some((lag, look)) = lags.max_by_key(|(lag, _)| *lag) else { continue };
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
        let check = |answered_at: &[Micros], looks: &[Look]| {
            let mut violations = Vec::new();
            let faults = std::slice::from_ref(&fault);
            let later = answered_at.iter().map(|at| answered(*at, 5));
            let commands: Vec<_> = [answered(2_000_000, 5)].into_iter().chain(later).collect();
            let longest = super::check(&commands, looks, faults, &mut violations);
            (longest[&Kind::ProjectionLocked], violations)
        };
        let busy: Vec<_> = (20..40).map(|tenth| tenth * 100_000).collect();
        assert_eq!(check(&busy, &[look(2_400_000, 4), look(3_000_000, 5)]), (300, vec![]));
        let told = "carts was 1400 ms behind in shard 0; meanwhile: projection_locked: stock";
        assert_eq!(check(&busy, &[look(3_500_000, 4)]), (1_400, vec![told.to_owned()]));
        let stood_still = [2_100_000, 3_400_000];
        assert_eq!(check(&stood_still, &[look(3_500_000, 4)]), (200, vec![]));
    }
}
