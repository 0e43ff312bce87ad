//! The programs of the machine that the stack needs: found, checked, run under a time limit.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::process::Account;

const JAVA_VERSION_MIN: u32 = 17;
const PROBE_WAIT_MAX: Duration = Duration::from_secs(20);

/// A Java runtime that Kafka accepts: the one of `JAVA_HOME`, else the one on the path.
///
/// # Errors
/// When there is none, or an older one.
pub async fn java() -> Result<PathBuf> {
    let java = match std::env::var_os("JAVA_HOME") {
        Some(home) => Path::new(&home).join("bin/java"),
        None => PathBuf::from("java"),
    };
    let needed = "Kafka needs Java 17 or newer: install a JRE (Debian: openjdk-17-jre-headless)";
    let output = Run::new(&java).arg("-version").within(PROBE_WAIT_MAX).output().await;
    let version = output.with_context(|| needed.to_owned())?;
    match java_version(&version) {
        Some(major) if major >= JAVA_VERSION_MIN => Ok(java),
        found => bail!("{needed}; {} is version {found:?}", java.display()),
    }
}

/// The first number in `openjdk version "17.0.15" 2025-04-15`.
fn java_version(text: &str) -> Option<u32> {
    let quoted = text.split('"').nth(1)?;
    quoted.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// One run of a program to its end.
pub struct Run {
    command: Command,
    name: String,
    within: Duration,
    input: Option<String>,
    hint: Option<&'static str>,
}

impl Run {
    #[must_use]
    pub fn new(program: &Path) -> Self {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).kill_on_drop(true);
        let name = program.display().to_string();
        Self { command, name, within: PROBE_WAIT_MAX, input: None, hint: None }
    }

    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    #[must_use]
    pub fn args<I: IntoIterator<Item: AsRef<std::ffi::OsStr>>>(mut self, args: I) -> Self {
        self.command.args(args);
        self
    }

    #[must_use]
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.command.env(key, value);
        self
    }

    /// Does not pass on the variables of this program whose names begin so.
    #[must_use]
    pub fn without_env(mut self, prefixes: &[&str]) -> Self {
        for (key, _) in std::env::vars_os() {
            let name = key.to_string_lossy();
            if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
                self.command.env_remove(&key);
            }
        }
        self
    }

    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Text for the program's standard input.
    #[must_use]
    pub fn input(mut self, text: &str) -> Self {
        self.command.stdin(Stdio::piped());
        self.input = Some(text.to_owned());
        self
    }

    #[must_use]
    pub fn user(mut self, user: Option<Account>) -> Self {
        if let Some(user) = user {
            self.command.uid(user.uid).gid(user.gid);
        }
        self
    }

    #[must_use]
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// What to install when the program is missing.
    #[must_use]
    pub fn install_hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    /// What the program printed, both streams.
    ///
    /// # Errors
    /// When it is missing, takes too long or fails; the error carries what it printed.
    pub async fn output(mut self) -> Result<String> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let running = async {
            let mut child = self.command.spawn()?;
            if let (Some(text), Some(mut pipe)) = (&self.input, child.stdin.take()) {
                pipe.write_all(text.as_bytes()).await?;
            }
            child.wait_with_output().await
        };
        let output = match timeout(self.within, running).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => return Err(error).with_context(|| self.cannot_start()),
            Err(_elapsed) => bail!("{} did not end within {:?}", self.name, self.within),
        };
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            bail!("{} failed ({}):\n{}", self.name, output.status, text.trim_end());
        }
        Ok(text)
    }

    /// Runs it with our terminal, so that the user sees its progress.
    ///
    /// # Errors
    /// When it is missing, takes too long or fails.
    pub async fn shown(mut self) -> Result<()> {
        let running = timeout(self.within, self.command.status());
        match running.await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => bail!("{} failed ({status})", self.name),
            Ok(Err(error)) => Err(error).with_context(|| self.cannot_start()),
            Err(_elapsed) => bail!("{} did not end within {:?}", self.name, self.within),
        }
    }

    fn cannot_start(&self) -> String {
        match self.hint {
            Some(hint) => format!("cannot run {}: {hint}", self.name),
            None => format!("cannot run {}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::java_version;

    #[test]
    fn java_versions_are_read() {
        assert_eq!(java_version("openjdk version \"17.0.15\" 2025-04-15"), Some(17));
        assert_eq!(java_version("java version \"1.8.0_392\""), Some(1));
        assert_eq!(java_version("nothing"), None);
    }
}
