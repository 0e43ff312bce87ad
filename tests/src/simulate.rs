//! `cargo stack simulate`: thousands of seeded histories of the whole system over one simulated
//! partition, each checked from end to end.
//!
//! One history is one thread and one seed, without a clock, a network or any other chance: the
//! shard's machine and the reader machine are the shipped ones, everything around them is made up
//! ([`world`]). A seed chooses one action after another until faults stop ([`chance`]); then the
//! system is driven to rest ([`rest`]), and everything that was promised is checked ([`check`]).
//! docs/simulation.md tells what is simulated and what is not.

mod action;
mod chance;
mod check;
mod exhaustive;
mod history;
mod life;
mod node;
mod outside;
mod partition;
mod plan;
mod projector;
mod rest;
mod search;
#[cfg(test)]
mod tests;
mod world;

use std::{ops::Range, process::ExitCode};

use anyhow::{Context, Result, ensure};
use infra::log::mistake::Mistake;

use exhaustive::Bounds;
use life::Life;
use stack::console;

const EXAMPLES: &str = "Examples:
  cargo stack simulate --seeds 0..100000        many histories on all cores
  cargo stack simulate --seed 4711 --trace      one of them, line by line
  cargo stack simulate --planted                whether the checks notice mistakes
  cargo stack simulate --exhaustive             all histories of a small system
  cargo stack simulate --seed 9 --mistake hole_skipped --trace";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub struct Args {
    /// Run the histories of these seeds; the first broken promise ends it with exit code 1
    #[arg(long, value_name = "A..B", group = "what", value_parser = parse_seeds)]
    seeds: Option<Range<u64>>,
    /// Run one history
    #[arg(long, value_name = "N", group = "what")]
    seed: Option<u64>,
    /// Print what happens in it
    #[arg(long, requires = "seed")]
    trace: bool,
    /// For each mistake, find the first of 10,000 seeds that catches it; exit code 1 if none does
    #[arg(long, group = "what")]
    planted: bool,
    /// Run all histories of a small system: two nodes, one change of owner
    #[arg(long, group = "what")]
    exhaustive: bool,
    /// Questions that clients ask in it
    #[arg(long, value_name = "N", default_value_t = 2, requires = "exhaustive")]
    asks: usize,
    /// Faults that it meets
    #[arg(long, value_name = "N", default_value_t = 0, requires = "exhaustive")]
    faults: usize,
    /// Plant this mistake
    #[arg(long, value_name = "NAME", value_parser = parse_mistake, conflicts_with = "planted")]
    mistake: Option<Mistake>,
}

/// # Errors
/// If a thread cannot be started or the answer not be printed.
pub fn run(args: &Args) -> Result<ExitCode> {
    if args.planted {
        return Ok(search::planted());
    }
    if args.exhaustive {
        let bounds = Bounds { asks: args.asks, faults: args.faults };
        return exhaustive::run(bounds, args.mistake);
    }
    if let Some(seed) = args.seed {
        let life = Life::live(seed, args.mistake, args.trace);
        life.journal.iter().for_each(|line| console::line(line));
        let Some(violation) = &life.violation else {
            console::line(&format!("seed {seed}: every promise was kept"));
            return Ok(ExitCode::SUCCESS);
        };
        life::tell(seed, args.mistake, violation);
        return Ok(ExitCode::FAILURE);
    }
    let seeds = args.seeds.clone().context("no seeds")?;
    search::run(seeds, args.mistake)
}

fn parse_seeds(text: &str) -> Result<Range<u64>> {
    let (from, to) = text.split_once("..").context("not of the form A..B")?;
    let seeds = from.parse()?..to.parse()?;
    ensure!(!seeds.is_empty(), "there is no seed in {text}");
    Ok(seeds)
}

fn parse_mistake(text: &str) -> Result<Mistake> {
    let found = Mistake::ALL.iter().find(|mistake| mistake.as_str() == text);
    found.copied().with_context(|| {
        let all: Vec<&str> = Mistake::ALL.iter().map(|mistake| mistake.as_str()).collect();
        format!("not one of {}", all.join(", "))
    })
}
