//! What the CLI says: progress to standard error, answers to standard output.

/// One line of progress.
pub fn step(text: &str) {
    eprintln!("  {text}");
}

/// One line of an answer, which a caller may parse.
#[expect(clippy::print_stdout, reason = "the one place where the CLI speaks")]
pub fn line(text: &str) {
    println!("{text}");
}
