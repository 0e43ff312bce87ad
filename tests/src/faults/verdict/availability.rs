//! How long no command of some shard was answered, after each kind of fault.

use std::collections::BTreeMap;

use crate::faults::history::{Command, Fault, Micros};
use crate::faults::plan::Kind;

/// The longest silence of any shard that a fault of each kind can have caused: from its beginning,
/// or the last answer after it, to the next answer or the next fault.
pub(super) fn longest(commands: &[Command], faults: &[Fault]) -> BTreeMap<Kind, u64> {
    let mut answers: BTreeMap<u32, Vec<Micros>> = BTreeMap::new();
    for answer in commands.iter().filter_map(|command| command.answer.as_ref()) {
        for shard in answer.seen.keys() {
            answers.entry(*shard).or_default().push(answer.at);
        }
    }
    answers.values_mut().for_each(|times| times.sort_unstable());
    let mut longest = BTreeMap::new();
    let ends = faults.iter().skip(1).map(|next| next.began).chain([Micros::MAX]);
    for (fault, end) in faults.iter().zip(ends) {
        let silence = answers.values().map(|times| silence(times, fault.began, end)).max();
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
}
