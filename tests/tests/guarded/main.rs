//! Brokers that let in only who signs in, and let nobody do what was not granted: the services live with
//! what docs/operations.md says that they need, and who lacks some of it is told what.
#![expect(clippy::expect_used, reason = "what goes wrong here fails the test")]

mod acls;
mod certificates;
mod deeds;
mod issuer;
mod lines;
mod page;
mod rig;
mod tokens;
