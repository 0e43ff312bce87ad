//! What was spent on commands, and the figures that tell it.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use tokio::time::Instant;

use super::{case::Case, database::Counts};
use crate::bench::figure::{Figure, percentile};

/// The most that the stack may take of a core when it has nothing to do.
const IDLE_AIM: f64 = 0.05;

/// What has been spent so far.
pub(super) struct Reading {
    pub(super) at: Instant,
    pub(super) answered: u32,
    pub(super) seconds: Vec<f64>,
    pub(super) own: Duration,
    pub(super) counts: Counts,
}

/// The sums of some rounds.
#[derive(Default)]
pub(super) struct Spent {
    pub(super) seconds: f64,
    commands: f64,
    /// Seconds of a processor, by what kind of part the process is.
    parts: BTreeMap<String, f64>,
    /// Those of this process, which sends the commands.
    own: f64,
    commits: f64,
    wal_bytes: f64,
    pub(super) requests: Option<f64>,
    /// Milliseconds by which each command was sent too late.
    pub(super) late: Vec<f64>,
    /// Seconds until the read models held all of it, which cost what is not told here.
    pub(super) left_over: f64,
}

impl Spent {
    pub(super) fn between(names: &[String], before: &Reading, after: &Reading) -> Self {
        let mut parts = BTreeMap::new();
        for (name, (before, after)) in names.iter().zip(before.seconds.iter().zip(&after.seconds)) {
            *parts.entry(kind(name)).or_default() += after - before;
        }
        Self {
            seconds: (after.at - before.at).as_secs_f64(),
            commands: f64::from(after.answered - before.answered),
            parts,
            own: after.own.saturating_sub(before.own).as_secs_f64(),
            commits: after.counts.commits - before.counts.commits,
            wal_bytes: after.counts.wal_bytes - before.counts.wal_bytes,
            requests: None,
            late: vec![],
            left_over: 0.0,
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.seconds += other.seconds;
        self.commands += other.commands;
        for (part, seconds) in other.parts {
            *self.parts.entry(part).or_default() += seconds;
        }
        self.own += other.own;
        self.commits += other.commits;
        self.wal_bytes += other.wal_bytes;
        self.requests = other.requests.map(|more| self.requests.unwrap_or_default() + more);
        self.late.extend(other.late);
        self.left_over += other.left_over;
    }

    pub(super) fn print(&self, case: &Case, rounds: usize) -> Result<()> {
        let at = case.name;
        let print = |name: String, value: f64, aim: Option<f64>, unit: &str| {
            Figure::aimed(&format!("cost_{name}"), value, aim, unit, rounds).print()
        };
        let per_second = |sum: f64| sum / self.seconds;
        let each = |sum: f64| sum / self.commands;
        print(format!("commands_per_second_{at}"), per_second(self.commands), None, "1/s")?;
        let all = each(self.parts.values().sum()) * 1e3;
        print(format!("ms_per_command_{at}"), all, case.milliseconds, "ms")?;
        for (part, seconds) in &self.parts {
            print(format!("ms_per_command_{at}_{part}"), each(*seconds) * 1e3, None, "ms")?;
        }
        let (commits, wal) = (self.commits, self.wal_bytes);
        print(format!("postgres_commits_per_second_{at}"), per_second(commits), None, "1/s")?;
        print(format!("postgres_commits_per_command_{at}"), each(commits), case.commits, "1")?;
        print(format!("wal_bytes_per_command_{at}"), each(wal), None, "B")?;
        if let Some(requests) = self.requests {
            print(format!("broker_requests_per_second_{at}"), per_second(requests), None, "1/s")?;
            print(format!("broker_requests_per_command_{at}"), each(requests), None, "1")?;
        }
        let left_over = self.left_over / f64::from(u32::try_from(rounds)?);
        print(format!("level_after_{at}"), left_over, None, "s")?;
        print(format!("load_ms_per_command_{at}"), each(self.own) * 1e3, None, "ms")?;
        if !self.late.is_empty() {
            print(format!("load_late_p99_{at}"), percentile(&self.late, 99), None, "ms")?;
        }
        Ok(())
    }

    pub(super) fn print_idle(&self, rounds: usize) -> Result<()> {
        let print = |name: &str, sum: f64, aim: Option<f64>, unit: &str| {
            let value = sum / self.seconds;
            Figure::aimed(&format!("cost_idle_{name}"), value, aim, unit, rounds).print()
        };
        print("part_of_a_core", self.parts.values().sum(), Some(IDLE_AIM), "1")?;
        for (part, seconds) in &self.parts {
            print(&format!("part_of_a_core_{part}"), *seconds, None, "1")?;
        }
        print("postgres_commits_per_second", self.commits, None, "1/s")?;
        print("wal_bytes_per_second", self.wal_bytes, None, "B/s")?;
        if let Some(requests) = self.requests {
            print("broker_requests_per_second", requests, None, "1/s")?;
        }
        Ok(())
    }
}

/// Nodes of one service count together: `command-api-2` is a `command_api`.
fn kind(part: &str) -> String {
    part.trim_end_matches(|c: char| c == '-' || c.is_ascii_digit()).replace('-', "_")
}

#[cfg(test)]
mod tests {

    use super::*;

    fn reading(at: Instant, answered: u32, seconds: [f64; 3], commits: f64) -> Reading {
        let counts = Counts { commits, wal_bytes: commits * 100.0 };
        Reading { at, answered, seconds: seconds.to_vec(), own: Duration::ZERO, counts }
    }

    #[test]
    fn rounds_add_up_and_nodes_count_together() {
        let began = Instant::now();
        let names = ["command-api-1", "command-api-2", "postgres"].map(str::to_owned);
        let before = reading(began, 5, [1.0, 2.0, 3.0], 7.0);
        let after = reading(began + Duration::from_secs(10), 25, [1.5, 4.0, 3.25], 9.0);
        let mut spent = Spent::default();
        spent.add(Spent::between(&names, &before, &after));
        spent.add(Spent::between(&names, &before, &after));
        let parts = [("command_api".to_owned(), 5.0), ("postgres".to_owned(), 0.5)];
        assert_eq!(spent.parts, BTreeMap::from(parts));
        assert_eq!((spent.seconds, spent.commands), (20.0, 40.0));
        assert_eq!((spent.commits, spent.wal_bytes, spent.requests), (4.0, 400.0, None));
    }
}
