//! SQL on schema `projection` that several rooms need, and on the views that show a version: how far each
//! projection is, which versions there are, what is parked and corrected, what was verified.

pub(crate) mod analytics;
pub(crate) mod checkpoints;
pub mod letters;
pub mod verifications;
pub mod versions;
pub(crate) mod views;
pub(crate) mod watch;
