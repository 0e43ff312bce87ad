//! A service as a process of its own, and what a process takes of memory and time, as Linux counts it.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::{
        resource::{UsageWho, getrusage},
        signal::{Signal, kill},
        time::{TimeVal, TimeValLike},
    },
    unistd::Pid,
};
use tokio::process::{Child, Command};
use uuid::Uuid;

use stack::{
    cargo::folder_of_binaries,
    eventually::eventually,
    secrets::Secrets,
    services::{Role, Wiring, readiness},
    state::{Databases, StackState},
};

/// A node may have a long log to read first.
const READY_WAIT_MAX: Duration = Duration::from_secs(600);
const STOP_WAIT_MAX: Duration = Duration::from_secs(60);

/// How a service of the stack is started that has a topic and a free port to itself.
pub(super) fn wiring(
    state: &StackState,
    secrets: Secrets,
    databases: Databases,
    folder: &Path,
) -> Result<Wiring> {
    Ok(Wiring {
        bind: TcpListener::bind(("127.0.0.1", 0))?.local_addr()?,
        ops_bind: "127.0.0.1:0".parse()?,
        bootstrap_servers: state.bootstrap_servers(),
        topic: format!("tradewind.bench.{}", Uuid::new_v4().simple()),
        databases,
        node: None,
        secrets,
        state: folder.to_owned(),
        snapshots: folder.join("snapshots"),
    })
}

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
        let child = Command::new(folder_of_binaries()?.join(program))
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

pub(super) struct Memory {
    pub(super) resident_mb: f64,
    /// The most that it ever was.
    pub(super) peak_mb: f64,
}

impl Memory {
    pub(super) fn of(pid: i32) -> Result<Self> {
        let path = PathBuf::from(format!("/proc/{pid}/status"));
        let status =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        Self::parse(&status).with_context(|| format!("{} has no memory in it", path.display()))
    }

    fn parse(status: &str) -> Option<Self> {
        Some(Self { resident_mb: field(status, "VmRSS:")?, peak_mb: field(status, "VmHWM:")? })
    }
}

/// A line such as `VmRSS:    12345 kB`, in MB.
fn field(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes / 1024.0)
}

/// How long all threads of this process have run.
pub(super) fn cpu_time() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let of =
        |time: TimeVal| Duration::from_micros(u64::try_from(time.num_microseconds()).unwrap_or(0));
    Ok(of(usage.user_time()) + of(usage.system_time()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_megabytes() {
        let status = "Name:\tx\nVmHWM:\t    4096 kB\nVmRSS:\t    2048 kB\n";
        let memory = Memory::parse(status).unwrap();
        assert!((memory.resident_mb - 2.0).abs() < 1e-9, "{}", memory.resident_mb);
        assert!((memory.peak_mb - 4.0).abs() < 1e-9, "{}", memory.peak_mb);
    }
}
