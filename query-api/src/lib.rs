//! The query API: reads of the read models over HTTP.
//!
//! `rest` takes requests, `projections` are those that they may wait for (`infra::freshness`),
//! `read_model` reads PostgreSQL.
//!
//! **Invariant:** nothing is written and nothing is decided here, and no other service is called.

mod metrics;
mod projections;
mod read_model;
mod rest;
mod service;
mod settings;

pub use service::{Service, StartError};
pub use settings::Settings;
