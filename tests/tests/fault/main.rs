//! Real processes, killed and brought back: nothing that was acknowledged is lost or done twice.
#![expect(clippy::expect_used, reason = "what goes wrong here fails the test")]

mod descriptors;
mod kills;
mod rig;
mod waits;
