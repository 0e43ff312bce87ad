//! Everything that needs a stack: tests on real servers, the import, benchmarks, campaigns.

pub mod audit;
pub mod bench;
pub mod cli;
pub mod faults;
pub mod harness;
pub mod import;
pub mod proxy;
pub mod simulate;
