//! What a person needs who looks into a broken promise.

use infra::log::mistake::Mistake;

use super::{life::Life, violation::Violation};
use crate::stack::console;

/// The end of a history says most; all of it is one command away.
const LINES_MAX: usize = 60;

/// The check, the lines of the history that concern it, and the command that replays it.
pub(super) fn violation(seed: u64, mistake: Option<Mistake>, violation: &Violation) {
    console::line(&format!("seed {seed} breaks a promise: {violation}"));
    let journal = Life::live(seed, mistake, true).journal;
    let lines = relevant(&journal, violation);
    let left_out = lines.len().saturating_sub(LINES_MAX);
    console::line(&format!("the history, as far as it concerns that ({left_out} lines left out):"));
    lines.iter().skip(left_out).for_each(|line| console::line(&format!("    {line}")));
    let planted = mistake.map(|mistake| format!(" --mistake {}", mistake.as_str()));
    let planted = planted.unwrap_or_default();
    console::line(&format!("replay: cargo stack simulate --seed {seed}{planted} --trace"));
}

/// Actions with their consequences, if one of the lines has a word that matters.
fn relevant<'a>(journal: &'a [String], violation: &Violation) -> Vec<&'a str> {
    let matters = |line: &&String| {
        let claims = ["claim", "serves", "killed", "-- "].iter().any(|word| line.contains(word));
        claims || violation.about.iter().any(|word| line.contains(word.as_str()))
    };
    journal
        .chunk_by(|_, next| next.starts_with("  "))
        .filter(|lines| violation.about.is_empty() || lines.iter().any(|line| matters(&line)))
        .flatten()
        .map(String::as_str)
        .collect()
}
