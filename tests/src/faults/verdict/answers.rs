//! Every command has an answer in the end. Every answer stands in the log once and in the right
//! place, and the log agrees with the clock: what was over before something else began comes before
//! it. A look at a read model shows a state that was, not older than asked for, and no client is ever
//! led back to an earlier position.

use std::collections::HashMap;

use super::fold::{Cart, Fold, Outcome, Place, Stock};
use crate::faults::action::Action;
use crate::faults::history::{Answer, Command, Micros, Read, Seen};

pub(super) fn check(commands: &[Command], fold: &Fold, violations: &mut Vec<String>) {
    violations.extend(fold.faults.iter().cloned());
    let twice = fold.carts.iter().filter(|(_, cart)| cart.standing > 1);
    let told =
        |(id, cart): (&String, &Cart)| format!("cart/{id}: checked out {} times", cart.standing);
    violations.extend(twice.map(told));
    for command in commands {
        let Some(answer) = &command.answer else {
            violations
                .push(format!("asked for long after all was whole, not answered: {command:?}"));
            continue;
        };
        let place = fold.places.get(&command.command_id.to_string());
        if let Err(what) = agree(command, answer, place) {
            violations.push(format!("{what}: {command:?}, in the log: {place:?}"));
        }
    }
    check_order(commands, fold, violations);
}

/// Whether the log holds the answer that the client got.
fn agree(command: &Command, answer: &Answer, place: Option<&Place>) -> Result<(), &'static str> {
    if !command.action.allows(answer.status, &answer.code, command.if_match.is_some()) {
        return Err("an answer that no sound system gives");
    }
    let place = place.ok_or("answered, and not in the log")?;
    match &place.outcome {
        // The order was taken after the cart was checked out: `sales` wants to see that refusal.
        Outcome::Events(..) if answer.code == "order.exists" => return Ok(()),
        Outcome::Events(ids, revision) => {
            if *ids != answer.events || *revision != answer.revision {
                return Err("answered with other events than are in the log");
            }
        }
        Outcome::Kept(status) if *status == u64::from(answer.status) => {}
        Outcome::Kept(_) => return Err("answered with another status than is in the log"),
    }
    let seen = answer.seen.get(&place.shard).copied().unwrap_or_default();
    let is_place = match &command.action {
        // It shows the order as well.
        Action::CheckOut { .. } if answer.status == 202 => seen >= place.next_offset,
        _ => seen == place.next_offset && answer.seen.len() == 1,
    };
    if !is_place {
        return Err("answered with another position than in the log");
    }
    if let (Some(expected), Outcome::Events(ids, revision)) = (command.if_match, &place.outcome) {
        let count = u64::try_from(ids.len()).unwrap_or(u64::MAX);
        if expected + count != *revision {
            return Err("a condition was not met, and the command done");
        }
    }
    Ok(())
}

/// Of two commands in one shard, the earlier one in the log did not begin after the other's answer.
fn check_order(commands: &[Command], fold: &Fold, violations: &mut Vec<String>) {
    let known: HashMap<String, &Command> =
        commands.iter().map(|command| (command.command_id.to_string(), command)).collect();
    for (shard, commits) in &fold.shards {
        let mut latest: Option<(Micros, &Command)> = None;
        for (offset, ids) in commits {
            let settled: Vec<&Command> =
                ids.iter().filter_map(|id| known.get(id).copied()).collect();
            for command in &settled {
                let (Some(answer), Some((began, earlier))) = (&command.answer, latest) else {
                    continue;
                };
                if answer.at < began {
                    violations.push(format!(
                        "shard {shard} at {offset}: {} was answered before {} began, and comes after it",
                        command.key, earlier.key
                    ));
                }
            }
            for command in settled {
                if latest.is_none_or(|(began, _)| began < command.began) {
                    latest = Some((command.began, command));
                }
            }
        }
    }
}

pub(super) fn check_reads(reads: &[Read], fold: &Fold, violations: &mut Vec<String>) {
    let mut seen: HashMap<usize, Seen> = HashMap::new();
    // Each client asks one thing at a time, so the order of its reads is that of their beginnings.
    let mut reads: Vec<&Read> = reads.iter().collect();
    reads.sort_unstable_by_key(|read| read.began);
    for read in reads {
        let before = seen.entry(read.client).or_default();
        for (what, least) in [("asked for", &read.asked), ("seen before", &*before)] {
            if let Some(shard) = behind(&read.seen, least) {
                violations
                    .push(format!("shard {shard} is behind what was {what}: {least:?}, {read:?}"));
            }
        }
        before.clone_from(&read.seen);
        if let Err(what) = is_true(read, fold.stocks.get(&read.sku)) {
            violations.push(format!("{what}: {read:?}"));
        }
    }
}

/// The shard in which `seen` does not go as far as `least`.
fn behind(seen: &Seen, least: &Seen) -> Option<u32> {
    let is_behind = |(shard, offset): &(&u32, &i64)| seen.get(shard).unwrap_or(&0) < offset;
    least.iter().find(is_behind).map(|(shard, _)| *shard)
}

fn is_true(read: &Read, states: Option<&Vec<Stock>>) -> Result<(), String> {
    let states = states.ok_or("a stock that is not in the log")?;
    let shown = states.iter().find(|stock| stock.revision == read.revision);
    let shown = shown.ok_or("a revision that is not in the log")?;
    if (shown.on_hand, shown.reserved) != (read.on_hand, read.reserved) {
        return Err(format!("the log has {shown:?}"));
    }
    // The read model may have moved on since the position was taken, but never lags behind it.
    let reached = read.seen.get(&shown.shard).copied().unwrap_or_default();
    match states.iter().find(|stock| stock.revision > read.revision) {
        Some(next) if next.next_offset <= reached => {
            Err(format!("the position is beyond {next:?}"))
        }
        _ => Ok(()),
    }
}
