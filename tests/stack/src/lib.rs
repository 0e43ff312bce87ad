//! The local stack: Kafka, PostgreSQL and the three services, on one machine, from one command.
//!
//! `up` decides (`state`), provisions (`tool`, `cache`), starts each part as a detached process
//! (`process`) and waits until it answers. Nothing but the files of one folder (`folder`) connects
//! the commands with each other, so each may crash and the next one still finds every part.
//! The tests start their servers with the same code. It is a crate of its own, so that `up` waits for
//! nothing but what a stack needs.

pub mod cache;
pub mod cargo;
pub mod cli;
pub mod console;
pub mod database;
pub mod detours;
pub mod dev_env;
pub mod down;
pub mod eventually;
pub mod folder;
pub mod guard;
pub mod kafka;
pub mod logs;
pub mod plain_http;
pub mod ports;
pub mod postgres;
pub mod process;
mod scram;
pub mod secrets;
pub mod services;
pub mod state;
pub mod status;
pub mod tool;
pub mod topic;
pub mod up;
pub mod welcome;

/// The parts' names, in `status`, in pid files and in log files: those that every stack has.
pub const KAFKA: &str = "kafka-1";
pub const POSTGRES: &str = "postgres";
pub const COMMAND_API: &str = "command-api-1";
pub const PROJECTOR: &str = "projector-1";
pub const QUERY_API: &str = "query-api-1";

/// The name of a command-api node, counted from 1.
#[must_use]
pub fn command_api(number: usize) -> String {
    format!("command-api-{number}")
}

/// The name of a Kafka broker, counted from 1.
#[must_use]
pub fn broker(number: usize) -> String {
    format!("kafka-{number}")
}
