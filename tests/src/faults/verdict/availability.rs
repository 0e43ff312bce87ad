//! How long no command of some shard was answered, after each kind of fault.

use std::collections::BTreeMap;

use crate::faults::history::{Command, Fault, Micros};
use crate::faults::plan::Kind;

/// No shard is silent for longer, whatever comes together: a fault lasts 5 s, the service must notice,
/// and a broker elect.
const SILENCE_MAX: Micros = 25_000_000;

/// When the commands of each shard were answered.
pub(super) struct Answers(BTreeMap<u32, Vec<Micros>>);

impl Answers {
    pub(super) fn of(commands: &[Command]) -> Self {
        let mut answers: BTreeMap<u32, Vec<Micros>> = BTreeMap::new();
        for answer in commands.iter().filter_map(|command| command.answer.as_ref()) {
            for shard in answer.seen.keys() {
                answers.entry(*shard).or_default().push(answer.at);
            }
        }
        let last = answers.values().flatten().max().copied();
        for times in answers.values_mut() {
            // A shard that falls silent for good is silent until the others are.
            times.extend(last);
            times.sort_unstable();
        }
        Self(answers)
    }
}

/// Silences that are too long. Faults that follow one another must not hide one: it may have outlasted
/// several.
pub(super) fn check(answers: &Answers, faults: &[Fault], violations: &mut Vec<String>) {
    for (shard, times) in &answers.0 {
        for (last, next) in times.iter().zip(&times[1..]) {
            let silence = next - last;
            if silence > SILENCE_MAX {
                let meanwhile = faults.iter().filter(|it| it.began < *next && it.healed > *last);
                let meanwhile: Vec<_> = meanwhile.map(|fault| fault.what.as_str()).collect();
                violations.push(format!(
                    "shard {shard} answered nothing for {} s, from {} s on; meanwhile: {}",
                    silence / 1_000_000,
                    last / 1_000_000,
                    meanwhile.join(", ")
                ));
            }
        }
    }
}

/// The longest silence of any shard that a fault of each kind can have caused: from its beginning,
/// or the last answer after it, to the next answer or the next fault.
pub(super) fn longest(answers: &Answers, faults: &[Fault]) -> BTreeMap<Kind, u64> {
    let mut longest = BTreeMap::new();
    let ends = faults.iter().skip(1).map(|next| next.began).chain([Micros::MAX]);
    for (fault, end) in faults.iter().zip(ends) {
        let silence = answers.0.values().map(|times| silence(times, fault.began, end)).max();
        let kept: &mut u64 = longest.entry(fault.kind).or_default();
        *kept = (*kept).max(silence.unwrap_or_default() / 1_000);
    }
    longest
}

/// The longest gap between answers within `from..until`.
fn silence(times: &[Micros], from: Micros, until: Micros) -> Micros {
    let first = times.partition_point(|at| *at < from);
    let mut last = from;
    let mut longest = 0;
    for at in &times[first..] {
        longest = longest.max((*at).min(until).saturating_sub(last));
        last = *at;
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_counts_from_the_fault_and_ends_with_an_answer() {
        let check = |times: &[Micros], from, until, expected| {
            assert_eq!(silence(times, from, until), expected);
        };
        check(&[10, 20, 90], 30, 100, 60);
        check(&[10, 20, 90, 95], 15, 100, 70);
        check(&[10, 50, 400], 10, 45, 35);
        check(&[], 10, 40, 0);
    }

    #[test]
    fn a_silence_that_outlasts_faults_is_a_violation() {
        let fault = |what: &str, began: Micros, healed: Micros| Fault {
            kind: Kind::BrokerKilled,
            what: what.to_owned(),
            began: began * 1_000_000,
            healed: healed * 1_000_000,
        };
        let faults = [fault("one", 1, 3), fault("two", 8, 12), fault("three", 20, 22)];
        let check = |times: &[Micros]| {
            let times = times.iter().map(|at| at * 1_000_000).collect();
            let mut violations = Vec::new();
            super::check(&Answers([(2, times)].into()), &faults, &mut violations);
            violations
        };
        assert_eq!(check(&[1, 20, 44]), Vec::<String>::new());
        assert_eq!(
            check(&[1, 6, 35, 36]),
            ["shard 2 answered nothing for 29 s, from 6 s on; meanwhile: two, three"]
        );
    }
}
