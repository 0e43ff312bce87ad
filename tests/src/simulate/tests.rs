//! A part of what CI simulates in release runs with every `cargo test`.

use indicatif::ProgressBar;
use infra::log::mistake::Mistake;

use super::{life::Life, search::search};

#[test]
fn a_seed_replays_the_same_history() {
    let twice = [Life::live(7, None, true), Life::live(7, None, true)];
    assert!(!twice[0].journal.is_empty());
    assert_eq!(twice[0].journal, twice[1].journal);
}

/// Enough for the common faults; CI runs many more in release.
#[test]
fn every_promise_is_kept() {
    let found = search(0..1_000, None, &ProgressBar::hidden());
    if let Some((seed, violation)) = found.first {
        panic!("cargo stack simulate --seed {seed} --trace: {violation}");
    }
}

/// All of them, rare ones included: a check that does not bite is no check.
#[test]
fn every_mistake_is_noticed() {
    let missed = |mistake: &&Mistake| {
        search(0..10_000, Some(**mistake), &ProgressBar::hidden()).first.is_none()
    };
    let missed: Vec<&Mistake> = Mistake::ALL.iter().filter(missed).collect();
    assert!(missed.is_empty(), "nothing noticed {missed:?}");
}
