//! What a server that was killed leaves behind for a moment: its children, and the memory that they
//! share. PostgreSQL refuses to start beside them.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::eventually::wait_for;

/// The children notice at once that their parent has gone, and end when they have finished what they
/// were writing.
const WAIT_MAX: Duration = Duration::from_secs(60);

const LOCK: &str = "postmaster.pid";
const SHARED_MEMORY: &str = "/proc/sysvipc/shm";

/// What the lock file in the data folder tells of the server that wrote it.
#[derive(Debug, PartialEq, Eq)]
struct Lock {
    pid: u32,
    memory: Option<u32>,
}

/// Waits until nothing is left of an earlier server on this data, which does not run any more, and
/// takes its lock away: another process may have its pid by now.
pub(super) async fn wait_gone(data: &Path) -> Result<()> {
    wait_for("the end of what an earlier PostgreSQL has left", WAIT_MAX, || async {
        match left(data) {
            Ok(Some(left)) => ControlFlow::Continue(left),
            Ok(None) => ControlFlow::Break(Ok(())),
            Err(error) => ControlFlow::Break(Err(error)),
        }
    })
    .await
}

fn left(data: &Path) -> Result<Option<String>> {
    let path = data.join(LOCK);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        read => read.with_context(|| format!("reading {}", path.display()))?,
    };
    if let Some(Lock { pid, memory }) = parse(&text) {
        if is_server(pid) {
            return Ok(Some(format!("process {pid}")));
        }
        let table = fs::read_to_string(SHARED_MEMORY).unwrap_or_default();
        match memory.and_then(|id| users(&table, id)) {
            Some(count) if count > 0 => {
                return Ok(Some(format!("{count} processes that share its memory")));
            }
            _ => {}
        }
    }
    fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
    Ok(None)
}

/// The pid in the first line, and in the seventh the key and the id of the shared memory.
fn parse(text: &str) -> Option<Lock> {
    let mut lines = text.lines();
    let pid = lines.next()?.trim().parse().ok()?;
    let memory = lines.nth(5).and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    Some(Lock { pid, memory })
}

/// Not one that is dead and only not collected by its parent, nor another program with its pid.
fn is_server(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let (before, after) = stat.rsplit_once(')').unwrap_or_default();
    let is_dead = after.trim_start().starts_with(['Z', 'X']);
    before.ends_with("(postgres") && !is_dead
}

/// How many processes use a segment of shared memory; none if it is not there.
fn users(table: &str, id: u32) -> Option<u32> {
    let mut lines = table.lines();
    let columns: Vec<&str> = lines.next()?.split_whitespace().collect();
    let place = |name| columns.iter().position(|column| *column == name);
    let (id_place, users_place) = (place("shmid")?, place("nattch")?);
    lines.find_map(|line| {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let found: u32 = cells.get(id_place)?.parse().ok()?;
        if found == id { cells.get(users_place)?.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK_TEXT: &str =
        "999999999\n/data\n1795885561\n31005\n\n127.0.0.1\n  5432001   32769\nready\n";

    #[test]
    fn the_lock_tells_the_process_and_its_memory() {
        assert_eq!(parse(LOCK_TEXT), Some(Lock { pid: 999_999_999, memory: Some(32_769) }));
        assert_eq!(parse("12\n"), Some(Lock { pid: 12, memory: None }));
        assert_eq!(parse(""), None);
    }

    #[test]
    fn who_uses_the_memory_is_counted() {
        let table = "  key shmid perms size cpid lpid nattch uid\n 54 32769 600 56 1 1 7 65534\n";
        assert_eq!((users(table, 32_769), users(table, 1), users("", 1)), (Some(7), None, None));
    }

    #[test]
    fn the_lock_of_a_process_that_is_not_a_server_is_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let check = |text: &str| {
            fs::write(folder.path().join(LOCK), text).unwrap();
            assert_eq!(left(folder.path()).unwrap(), None);
            assert!(!folder.path().join(LOCK).exists());
        };
        check(LOCK_TEXT);
        check("");
        // Its pid is this program's by now.
        check(&LOCK_TEXT.replace("999999999", &std::process::id().to_string()));
        assert_eq!(left(folder.path()).unwrap(), None);
    }
}
