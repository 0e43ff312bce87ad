//! What the CLI says: progress to standard error, answers to standard output.

use std::process::ExitCode;

use anyhow::Result;

/// What a command line ends with. An error is told first.
#[must_use]
pub fn exit_code(outcome: Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        step(&format!("error: {error:#}"));
        ExitCode::FAILURE
    })
}

/// One line of progress.
pub fn step(text: &str) {
    eprintln!("  {text}");
}

/// One line of an answer, which a caller may parse.
#[expect(clippy::print_stdout, reason = "the one place where the CLI speaks")]
pub fn line(text: &str) {
    println!("{text}");
}
