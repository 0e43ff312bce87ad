//! See `tests::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tests::cli::main()
}
