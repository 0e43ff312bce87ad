//! What of this workspace cargo builds and runs: the services, and what `cargo stack` hands on.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Error, Result};

use crate::folder::workspace;
use crate::tool::Run;

const BUILD_WAIT_MAX: Duration = Duration::from_secs(3600);
const CAMPAIGN: &str = "campaign";

/// Builds the services.
///
/// # Errors
/// When the build fails.
pub async fn build_services() -> Result<()> {
    build(&["command-api", "projector", "query-api"]).await.context("building the services")
}

/// Becomes the program `campaign` with these arguments. Comes back only with the reason why not.
pub async fn become_campaign(args: &[OsString]) -> Error {
    let built = async {
        build(&[CAMPAIGN]).await?;
        folder_of_binaries()
    };
    match built.await {
        Ok(folder) => Command::new(folder.join(CAMPAIGN)).args(args).exec().into(),
        Err(error) => error.context("building the program `campaign`"),
    }
}

/// Builds programs in the profile of this one. No package is named: then the features of all of them
/// unite, whatever is built, and nothing is compiled twice.
async fn build(programs: &[&str]) -> Result<()> {
    let mut run = Run::new(Path::new("cargo")).arg("build").folder(&workspace());
    if !cfg!(debug_assertions) {
        run = run.arg("--release");
    }
    for program in programs {
        run = run.args(["--bin", program]);
    }
    // `cargo run` tells this program of its own package. Build scripts of dependencies that look there
    // would run again, and with them all that depends on them would be compiled again.
    run = run.without_env(&["CARGO_MANIFEST_", "CARGO_PKG_"]).within(BUILD_WAIT_MAX);
    run.install_hint("install Rust").shown().await
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
