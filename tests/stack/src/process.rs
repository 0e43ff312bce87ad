//! One part of the stack: a detached process in a session of its own, with a log file and a pid file.
//!
//! The pid file does two jobs. It holds the pid and nothing else. And the process keeps it open, locked,
//! as its standard input: the lock lives exactly as long as the process, so it tells whether the part
//! runs even when the pid has been given to somebody else since.
//!
//! **Invariant:** the process writes its own pid before it becomes the program, so that no crash of
//! `up` leaves a process that `down` cannot find. A pid is only signalled while its file is locked.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;

use crate::eventually::wait_for;

/// How long a part may take to end by itself before it is killed.
const STOP_WAIT_MAX: Duration = Duration::from_secs(20);
const KILL_WAIT_MAX: Duration = Duration::from_secs(10);
const PID_WAIT_MAX: Duration = Duration::from_secs(10);
const LOG_TAIL_LINES: usize = 15;

#[derive(Clone, Debug)]
pub struct Part {
    name: String,
    pid_file: PathBuf,
    log_file: PathBuf,
    stop_signal: Signal,
}

impl Part {
    #[must_use]
    pub fn new(name: &str, pids: &Path, logs: &Path) -> Self {
        // PostgreSQL takes SIGTERM for "when the last client has left" and SIGINT for "now, in order".
        let stop_signal = if name == crate::POSTGRES { Signal::SIGINT } else { Signal::SIGTERM };
        Self {
            name: name.to_owned(),
            pid_file: pids.join(name),
            log_file: logs.join(format!("{name}.log")),
            stop_signal,
        }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn log_file(&self) -> &Path {
        &self.log_file
    }

    /// The pid while the part runs. One that has been killed is waited for.
    ///
    /// # Errors
    /// When the pid file cannot be read, or a running part has written no pid.
    pub async fn pid(&self) -> Result<Option<Pid>> {
        wait_for(&format!("the pid of {}", self.name), PID_WAIT_MAX, || async {
            match self.read_pid() {
                Ok(Held::Free) => ControlFlow::Break(Ok(None)),
                Ok(Held::By(pid)) => ControlFlow::Break(Ok(Some(pid))),
                Ok(Held::Unnamed) => {
                    ControlFlow::Continue("a locked pid file without a pid".into())
                }
                Ok(Held::Ending(pid)) => ControlFlow::Continue(format!("{pid}, which is ending")),
                Err(error) => ControlFlow::Break(Err(error)),
            }
        })
        .await
    }

    /// Starts `command` detached from this process and its terminal.
    ///
    /// # Errors
    /// When the part already runs or the program cannot be started.
    pub async fn start(&self, launch: Launch) -> Result<Pid> {
        let pid_file = self.open_pid_file()?;
        match pid_file.try_lock() {
            Ok(()) => pid_file.set_len(0)?,
            Err(TryLockError::WouldBlock) => bail!("{} already runs", self.name),
            Err(TryLockError::Error(error)) => return Err(error).context("locking the pid file"),
        }
        let log = OpenOptions::new().create(true).append(true).open(&self.log_file)?;
        let mut command = Command::new("setsid");
        command.args(["sh", "-c", "echo $$ >&0; exec \"$@\"", &self.name]);
        command.arg(&launch.program).args(&launch.args).envs(launch.env).current_dir("/");
        command.stdin(Stdio::from(pid_file)).stdout(log.try_clone()?).stderr(log);
        if let Some(user) = launch.user {
            command.uid(user.uid).gid(user.gid);
        }
        command.spawn().with_context(|| format!("starting {} by setsid and sh", self.name))?;
        // The command still holds the locked file; only the process may.
        drop(command);
        match self.pid().await? {
            Some(pid) => Ok(pid),
            None => bail!("{} ended at once; {}", self.name, self.log_hint()),
        }
    }

    /// Ends the part, by force if it does not end by itself. True if there was something to end.
    ///
    /// # Errors
    /// When it cannot be signalled, or runs on after SIGKILL.
    pub async fn stop(&self) -> Result<bool> {
        let Some(pid) = self.pid().await? else { return Ok(false) };
        self.signal(pid, self.stop_signal)?;
        // A part that was paused could not hear it.
        self.signal(pid, Signal::SIGCONT)?;
        if self.wait_end(STOP_WAIT_MAX).await.is_err() {
            self.signal(pid, Signal::SIGKILL)?;
            self.wait_end(KILL_WAIT_MAX).await?;
        }
        Ok(true)
    }

    /// Ends the part as a crash would.
    ///
    /// # Errors
    /// When it does not run or cannot be signalled.
    pub async fn kill(&self) -> Result<()> {
        let Some(pid) = self.pid().await? else { bail!("{} does not run", self.name) };
        self.signal(pid, Signal::SIGKILL)?;
        self.wait_end(KILL_WAIT_MAX).await
    }

    /// Takes the part's time away: it neither runs nor ends.
    ///
    /// # Errors
    /// When it does not run or cannot be signalled.
    pub async fn pause(&self) -> Result<()> {
        self.signal_running(Signal::SIGSTOP).await
    }

    /// Gives a paused part its time back.
    ///
    /// # Errors
    /// When it does not run or cannot be signalled.
    pub async fn resume(&self) -> Result<()> {
        self.signal_running(Signal::SIGCONT).await
    }

    async fn signal_running(&self, signal: Signal) -> Result<()> {
        let Some(pid) = self.pid().await? else { bail!("{} does not run", self.name) };
        self.signal(pid, signal)
    }

    /// The end of the log, for an error that says why the part does not work.
    #[must_use]
    pub fn log_hint(&self) -> String {
        let text = fs::read_to_string(&self.log_file).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n  ");
        format!("see {}, which ends with\n  {tail}", self.log_file.display())
    }

    async fn wait_end(&self, within: Duration) -> Result<()> {
        wait_for(&format!("the end of {}", self.name), within, || async {
            match self.read_pid() {
                Ok(Held::Free) => ControlFlow::Break(Ok(())),
                Ok(Held::By(pid) | Held::Ending(pid)) => {
                    ControlFlow::Continue(format!("process {pid}"))
                }
                Ok(Held::Unnamed) => ControlFlow::Continue("a locked pid file".to_owned()),
                Err(error) => ControlFlow::Break(Err(error)),
            }
        })
        .await
    }

    fn signal(&self, pid: Pid, signal: Signal) -> Result<()> {
        match kill(pid, signal) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("ending {} ({pid})", self.name)),
        }
    }

    fn open_pid_file(&self) -> Result<File> {
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&self.pid_file)
            .with_context(|| format!("opening {}", self.pid_file.display()))
    }

    fn read_pid(&self) -> Result<Held> {
        if !self.pid_file.exists() {
            return Ok(Held::Free);
        }
        let mut file = self.open_pid_file()?;
        match file.try_lock_shared() {
            Ok(()) => return Ok(Held::Free),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error).context("locking the pid file"),
        }
        let mut text = String::new();
        file.seek(SeekFrom::Start(0))?;
        file.read_to_string(&mut text)?;
        match text.trim().parse().map(Pid::from_raw) {
            Ok(pid) if is_ending(pid) => Ok(Held::Ending(pid)),
            Ok(pid) => Ok(Held::By(pid)),
            Err(_not_yet_written) => Ok(Held::Unnamed),
        }
    }
}

enum Held {
    Free,
    Unnamed,
    By(Pid),
    /// Killed, but the system has not taken it all down yet.
    Ending(Pid),
}

/// Whether the system is taking a process down, as it says in `/proc`: a large one keeps its files, and so
/// the lock, for a moment after it was killed.
fn is_ending(pid: Pid) -> bool {
    const FLAG_EXITING: u32 = 0x4;
    const PENDING_KILL: u64 = 1 << 8;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name comes second, in parentheses, and may hold anything.
    let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let is_dead = fields.next().is_some_and(|state| matches!(state, "Z" | "X"));
    let flags: u32 = fields.nth(5).and_then(|flags| flags.parse().ok()).unwrap_or_default();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let pending = status.lines().filter_map(|line| line.split_once("Pnd:\t"));
    let mut pending = pending.filter_map(|(_, mask)| u64::from_str_radix(mask.trim(), 16).ok());
    is_dead || flags & FLAG_EXITING != 0 || pending.any(|mask| mask & PENDING_KILL != 0)
}

/// What a part runs.
#[derive(Debug, Default)]
pub struct Launch {
    pub program: PathBuf,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    /// Another user than ours, which needs us to be root.
    pub user: Option<Account>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    pub uid: u32,
    pub gid: u32,
}
