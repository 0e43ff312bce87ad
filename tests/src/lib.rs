//! The local stack, and everything that needs one: tests on real servers, the import, benchmarks.

pub mod audit;
pub mod bench;
pub mod cli;
pub mod eventually;
pub mod faults;
pub mod harness;
pub mod import;
pub mod plain_http;
pub mod proxy;
pub mod simulate;
pub mod stack;
