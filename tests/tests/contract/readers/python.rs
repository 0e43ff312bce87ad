//! Runs the readers of `tests/readers`.
//!
//! Their packages are fetched once per user, as those of the stack are: into a folder, not into a virtual
//! environment, which Debian's Python makes only with a further package.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use stack::cache;
use stack::folder::workspace;
use stack::tool::Run;
use tokio::process::Command;
use tokio::time::timeout;

const REQUIREMENTS: &str = "tests/readers/requirements.txt";
const PYTHON: &str = "python3";
const FETCH_WAIT_MAX: Duration = Duration::from_secs(300);
const RUN_WAIT_MAX: Duration = Duration::from_secs(120);

/// The lines that a script prints.
pub(super) async fn run(script: &str, args: &[&str]) -> Vec<Value> {
    let output = output(script, args).await;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} failed: {told}");
    let text = String::from_utf8(output.stdout).expect("a text");
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// What a script says that does not go on.
pub(super) async fn refusal(script: &str, args: &[&str]) -> String {
    let output = output(script, args).await;
    assert!(!output.status.success(), "{script} takes it: {output:?}");
    String::from_utf8(output.stderr).expect("a text")
}

async fn output(script: &str, args: &[&str]) -> Output {
    // Whoever comes second waits for the first to have fetched them.
    let packages = timeout(2 * FETCH_WAIT_MAX, packages()).await.expect("the packages in time");
    let mut command = Command::new(PYTHON);
    command.arg(workspace().join("tests/readers").join(script)).args(args).kill_on_drop(true);
    command.env("PYTHONPATH", packages.expect("the packages"));
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUTF8", "1");
    let output = timeout(RUN_WAIT_MAX, command.output()).await.expect("an end in time");
    output.expect("a program that runs")
}

/// A folder for each set of pins and each Python, which takes no binaries that were made for another.
async fn packages() -> Result<PathBuf> {
    let requirements = workspace().join(REQUIREMENTS);
    let python = Run::new(Path::new(PYTHON)).arg("--version").output().await?;
    let pins = format!("{python}{}", std::fs::read_to_string(&requirements)?);
    cache::entry("readers", &pins, |place| async move {
        Run::new(Path::new(PYTHON))
            .args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"])
            .arg(&place)
            .arg("--requirement")
            .arg(&requirements)
            .within(FETCH_WAIT_MAX)
            .install_hint("install Python 3.10 or newer (Debian: python3, python3-pip)")
            .output()
            .await
            .map(drop)
    })
    .await
}
