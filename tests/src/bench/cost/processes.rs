//! How long processes have run, all their threads taken together, as `/proc` tells.
//!
//! A process counts with the children that it has waited for and with those that still are: PostgreSQL is
//! its postmaster and a process for each session. One that ends leaves its time to the postmaster that
//! waits for it, so none is lost, and nobody has to watch in between. What the kernel does in nobody's name
//! (interrupts, its own threads) is not in it.

use std::{collections::HashMap, fs, time::Duration};

use anyhow::{Context, Result};

/// What Linux counts in for programs, on all machines that this runs on.
const TICK_MS: u64 = 10;
const LOOKS_MAX: u32 = 10;

/// What counts here of `/proc/<pid>/stat`, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: i32,
    own: u64,
    /// Of children that have ended.
    waited_for: u64,
}

impl Stat {
    fn parse(line: &str) -> Option<Self> {
        // The name comes second, in parentheses, and may hold anything.
        let (_, fields) = line.rsplit_once(')')?;
        let mut fields = fields.split_whitespace().skip(1);
        let parent = fields.next()?.parse().ok()?;
        let mut times = fields.skip(9).map_while(|field| field.parse::<u64>().ok());
        let own = times.next()? + times.next()?;
        Some(Self { parent, own, waited_for: times.next()? + times.next()? })
    }

    fn of(pid: i32) -> Result<Self> {
        let path = format!("/proc/{pid}/stat");
        let line = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        Self::parse(&line).with_context(|| format!("{path} reads {line}"))
    }
}

/// Seconds of each process so far.
pub(super) fn seconds(pids: &[i32]) -> Result<Vec<f64>> {
    let parents = || pids.iter().map(|pid| Stat::of(*pid)).collect::<Result<Vec<_>>>();
    let (mut before, mut looks) = (parents()?, 0);
    loop {
        let children = of_children()?;
        let after = parents()?;
        looks += 1;
        // A child that was waited for meanwhile may have been counted twice or not at all.
        let is_sound = before.iter().zip(&after).all(|(b, a)| b.waited_for == a.waited_for);
        if is_sound || looks >= LOOKS_MAX {
            return Ok(pids
                .iter()
                .zip(&after)
                .map(|(pid, it)| total(*pid, it, &children))
                .collect());
        }
        before = after;
    }
}

fn total(pid: i32, stat: &Stat, children: &HashMap<i32, u64>) -> f64 {
    let living = children.get(&pid).copied().unwrap_or_default();
    let ticks = stat.own + stat.waited_for + living;
    Duration::from_millis(ticks * TICK_MS).as_secs_f64()
}

/// What the living children of each process have run.
fn of_children() -> Result<HashMap<i32, u64>> {
    let mut sums = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let pid = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        // Others end at any moment: what is not there any more has no time of its own.
        let Some(Ok(stat)) = pid.map(Stat::of) else { continue };
        *sums.entry(stat.parent).or_default() += stat.own + stat.waited_for;
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = "S 7 42 42 0 -1 4194560 9 8 7 6 100 20 3000 400 20 0 1 0 99 1 2 3";

    #[track_caller]
    fn check(name: &str) {
        let expected = Stat { parent: 7, own: 120, waited_for: 3_400 };
        assert_eq!(Stat::parse(&format!("42 ({name}) {REST}\n")), Some(expected));
    }

    #[test]
    fn a_name_may_hold_anything() {
        check("postgres");
        check("a name with spaces");
        check("(sd-pam)");
        check("a) S 1 2 (b");
    }

    #[test]
    fn what_is_cut_off_is_not_believed() {
        assert_eq!(Stat::parse("42 (postgres) S 7 42 42 0 -1 4194560 9 8 7 6 100 20 3000"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn a_process_counts_with_its_living_children() {
        let stat = Stat { parent: 1, own: 100, waited_for: 50 };
        let seconds = total(7, &stat, &HashMap::from([(7, 25), (8, 1_000)]));
        assert!((seconds - 1.75).abs() < 1e-9, "{seconds}");
    }
}
