//! A look at a read model shows a state that was, not older than asked for, and no client is ever
//! led back to an earlier position.

use std::collections::HashMap;

use super::fold::{Fold, Stock};
use crate::faults::history::{Read, Seen};

pub(super) fn check(reads: &[Read], fold: &Fold, violations: &mut Vec<String>) {
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
