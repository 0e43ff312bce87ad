//! How far the log is read.

use infra::log::Offset;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    Nothing,
    /// All that comes.
    Following,
    UpTo(Offset),
}
