//! The query API: reads of the read models over HTTP.
//!
//! `rest` takes requests, `read_model` reads PostgreSQL and names the projections that requests may
//! wait for (`infra::freshness`).
//!
//! **Invariant:** nothing is written and nothing is decided here, and no other service is called.

mod metrics;
mod read_model;
mod rest;
mod service;
mod settings;

pub use service::Service;
pub use settings::Settings;
