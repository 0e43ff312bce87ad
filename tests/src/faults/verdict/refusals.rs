//! A refusal is right if the stock was in a state that justifies it at some moment between the
//! command's beginning and its place in the log.
//!
//! The states to choose from begin with the one that somebody had an answer for before the command
//! began, and end with the last one before the barrier that keeps the refusal.

use std::collections::BTreeMap;

use super::fold::{Fold, Outcome, Stock};
use crate::faults::action::Action;
use crate::faults::history::{Command, Micros};

pub(super) fn check(commands: &[Command], fold: &Fold, violations: &mut Vec<String>) {
    let known = Known::of(commands);
    for command in commands {
        let Some(answer) = &command.answer else { continue };
        let (Action::Adjust { sku, .. } | Action::Receive { sku, .. }) = &command.action else {
            continue;
        };
        let place = fold.places.get(&command.command_id.to_string());
        let Some(place) = place.filter(|place| matches!(place.outcome, Outcome::Kept(_))) else {
            continue;
        };
        let states = fold.stocks.get(sku).map_or(&[][..], Vec::as_slice);
        let from = known.before(sku, command.began);
        let nothing = Stock::default();
        let states = std::iter::once(&nothing).chain(states);
        let mut possible =
            states.filter(|stock| stock.revision >= from && stock.next_offset <= place.next_offset);
        let is_justified =
            possible.clone().any(|stock| justifies(stock, command, &answer.code, &answer.detail));
        if !is_justified {
            let first = possible.next();
            let last = possible.next_back();
            violations.push(format!(
                "a refusal that no state justifies, from {first:?} to {last:?}: {command:?}"
            ));
        }
    }
}

fn justifies(stock: &Stock, command: &Command, code: &str, detail: &str) -> bool {
    match (code, &command.action, command.if_match) {
        ("stock.insufficient", Action::Adjust { delta, .. }, _) => {
            let available = stock.on_hand - stock.reserved;
            available + delta < 0 && detail.starts_with(&format!("only {available} available"))
        }
        (_, _, Some(expected)) => stock.revision != expected,
        _ => false,
    }
}

/// What was known of each stock at which time: the highest revision in an answer so far.
struct Known(BTreeMap<String, Vec<(Micros, u64)>>);

impl Known {
    fn of(commands: &[Command]) -> Self {
        let mut known: BTreeMap<String, Vec<(Micros, u64)>> = BTreeMap::new();
        for command in commands {
            let (Action::Adjust { sku, .. } | Action::Receive { sku, .. }) = &command.action else {
                continue;
            };
            if let Some(answer) = command.answer.as_ref().filter(|answer| answer.status < 300) {
                known.entry(sku.clone()).or_default().push((answer.at, answer.revision));
            }
        }
        for answers in known.values_mut() {
            answers.sort_unstable();
            let mut highest = 0;
            for (_, revision) in answers {
                highest = highest.max(*revision);
                *revision = highest;
            }
        }
        Self(known)
    }

    fn before(&self, sku: &str, time: Micros) -> u64 {
        let answers = self.0.get(sku).map_or(&[][..], Vec::as_slice);
        let count = answers.partition_point(|(at, _)| *at < time);
        count.checked_sub(1).map_or(0, |last| answers[last].1)
    }
}
