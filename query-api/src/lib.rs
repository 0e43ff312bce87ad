//! The query API: reads of the read models over HTTP.
//!
//! `rest` takes requests, `read_model` reads PostgreSQL and names the projections that requests may
//! wait for (`infra::freshness`).
//!
//! `replay` reads the log itself, for analysts; `cli` is what they call, and `export` makes tables of it. `schemas`
//! tells what events look like.
//!
//! **Invariant:** the service writes nothing and decides nothing, and calls no other service.

pub mod cli;
mod export;
mod metrics;
mod read_model;
mod replay;
mod rest;
mod schemas;
mod service;
mod settings;

pub use service::Service;
pub use settings::Settings;
