//! What of this workspace cargo builds and runs: the services, and what `cargo stack` hands on.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Error, Result};

use crate::folder::workspace;
use crate::tool::Run;

const BUILD_WAIT_MAX: Duration = Duration::from_secs(3600);

/// Builds the services.
///
/// # Errors
/// When the build fails.
pub async fn build_services() -> Result<()> {
    let services = ["--bin", "command-api", "--bin", "projector", "--bin", "query-api"];
    let run = cargo("build").args(services).within(BUILD_WAIT_MAX);
    run.shown().await.context("building the services")
}

/// Becomes the program `campaign` with these arguments. Comes back only where cargo cannot start.
#[must_use]
pub fn become_campaign(args: &[OsString]) -> Error {
    cargo("run").args(["--bin", "campaign", "--"]).args(args).become_it()
}

/// Cargo on this workspace, wherever the user stands, in the profile of this program. No package is
/// named: then the features of all of them unite, whatever is built, and nothing is compiled twice.
fn cargo(command: &str) -> Run {
    let run = Run::new(Path::new("cargo"))
        .args([command, "--manifest-path"])
        .arg(workspace().join("Cargo.toml"))
        // `cargo run` tells this program of its own package. Build scripts of dependencies that look
        // there would run again, and with them all that depends on them would be compiled again.
        .without_env(&["CARGO_MANIFEST_", "CARGO_PKG_"])
        .install_hint("install Rust");
    if cfg!(debug_assertions) { run } else { run.arg("--release") }
}

/// Where the binaries of this program's profile are.
///
/// # Errors
/// When this program does not know where it is.
pub fn folder_of_binaries() -> Result<PathBuf> {
    let program = std::env::current_exe().context("finding this program")?;
    let folder = program.parent().context("this program has a folder")?;
    // `cargo test` puts its binaries one folder deeper.
    let above = folder.parent().filter(|_| folder.ends_with("deps"));
    Ok(above.unwrap_or(folder).to_owned())
}
