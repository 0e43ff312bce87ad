//! The query API: reads of the read models over HTTP.
//!
//! `rest` takes requests, `freshness` waits for the positions that clients ask to see, `read_model`
//! reads PostgreSQL, `keys` are those that open more than what guests see.
//!
//! **Invariant:** nothing is written and nothing is decided here, and no other service is called.

mod freshness;
mod keys;
mod metrics;
mod read_model;
mod rest;
mod service;
mod settings;

pub use service::{Service, StartError};
pub use settings::Settings;
