//! Real processes, killed and brought back: nothing that was acknowledged is lost or done twice.

mod kills;
mod rig;
mod waits;
