//! What a process takes of memory and time, as Linux counts it.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::{TimeVal, TimeValLike},
};

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
