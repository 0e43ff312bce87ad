//! File descriptors: how many this process may have, and who may have which part of them.
//!
//! Whoever opens one for each client that comes must leave some to whoever opens them for the log
//! and the state: a store that cannot open a file stands still.

use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// More than a process needs; a limit may be infinite.
const LIMIT_MAX: u64 = 1 << 20;
/// What POSIX promises, if nobody says.
const LIMIT_UNKNOWN: u64 = 256;

static LIMIT: OnceLock<usize> = OnceLock::new();

/// How many there are for this process. The first call raises the soft limit to the hard one: the
/// soft one is there for programs that use `select`.
pub fn limit() -> usize {
    *LIMIT.get_or_init(|| usize::try_from(raise()).unwrap_or(usize::MAX))
}

fn raise() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return LIMIT_UNKNOWN };
    let wanted = hard.min(LIMIT_MAX);
    if wanted <= soft {
        return soft.min(LIMIT_MAX);
    }
    match setrlimit(Resource::RLIMIT_NOFILE, wanted, hard) {
        Ok(()) => wanted,
        Err(_) => soft,
    }
}

/// For connections of clients: half of them.
#[must_use]
pub fn for_clients() -> usize {
    (limit() / 2).max(1)
}

/// For connections of operators and other nodes, to one that lets in so many requests.
#[must_use]
pub fn for_ops(requests_max: usize) -> usize {
    (limit() / 16).min(requests_max).max(8)
}

/// For connections to one other node, which lets in as many of all: two nodes leave it a quarter.
#[must_use]
pub fn for_peer(requests_max: usize) -> usize {
    for_ops(requests_max) / 8 * 3
}

/// For files of state that are kept open between two uses.
#[must_use]
pub fn for_files() -> usize {
    limit() / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_and_some_are_left_for_the_rest() {
        let limit = limit();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert!(soft == hard || soft >= LIMIT_MAX, "{soft} of {hard}");
        assert!(for_clients() + for_ops(usize::MAX) + for_files() <= limit / 4 * 3, "of {limit}");
    }
}
