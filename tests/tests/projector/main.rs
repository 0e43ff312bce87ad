//! The projector on a real PostgreSQL, over a log in memory that the tests write themselves.
#![expect(clippy::expect_used, reason = "what goes wrong here fails the test")]

mod analytics;
mod commands;
mod corrections;
mod dead_letters;
mod exactly_once;
mod freshness;
mod halting;
mod history;
mod journal;
mod rebuild;
mod rig;
mod roles;
mod service;
mod sharing;
mod streams;
mod together;
mod verify;
mod versions;
