//! A service as a process of its own.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::{Child, Command};

use super::memory::Memory;
use crate::{
    eventually::eventually,
    stack::services::{self, Role, Wiring, readiness},
};

/// A node may have a long log to read first.
const READY_WAIT_MAX: Duration = Duration::from_secs(600);
const STOP_WAIT_MAX: Duration = Duration::from_secs(60);

pub(super) struct Process {
    child: Child,
    pid: i32,
}

impl Process {
    /// Until it is ready. Settings are beside those of the wiring.
    pub(super) async fn start(
        role: Role,
        wiring: &Wiring,
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        let (program, command) = role.command();
        let child = Command::new(services::folder_of_binaries()?.join(program))
            .arg(command)
            .env_clear()
            .envs(wiring.env(role))
            .env("TRADEWIND_LOG__FILTER", "warn")
            .envs(settings.iter().copied())
            .current_dir(Path::new("/"))
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let pid = i32::try_from(child.id().context("a process that runs")?)?;
        let url = format!("http://{}", wiring.bind);
        eventually(&format!("the {program} is ready"), READY_WAIT_MAX, || readiness(&url)).await;
        Ok(Self { child, pid })
    }

    pub(super) fn memory(&self) -> Result<Memory> {
        Memory::of(self.pid)
    }

    pub(super) async fn stop(mut self) -> Result<()> {
        kill(Pid::from_raw(self.pid), Signal::SIGTERM)?;
        let ended = tokio::time::timeout(STOP_WAIT_MAX, self.child.wait()).await??;
        ensure!(ended.success(), "the process ended with {ended}");
        Ok(())
    }
}
