//! What the services stand on: the event log, the codec, PostgreSQL, auth, HTTP building blocks,
//! telemetry and configuration.
//!
//! **Invariant:** nothing here knows one endpoint, one projection (but that of API keys, which are
//! `auth`'s own) or one aggregate's rules.

pub mod auth;
#[cfg(any(test, feature = "testing"))]
pub mod certificates;
pub mod clock;
pub mod codec;
pub mod config;
pub mod descriptors;
pub mod folder;
pub mod freshness;
pub mod http;
pub mod log;
pub mod membership;
pub mod operator;
pub mod position;
pub mod postgres;
pub mod pseudonym;
pub mod retry;
pub mod s3_signing;
pub mod shares;
pub mod shutdown;
pub mod task;
pub mod telemetry;
mod text;

/// For every program that stands on this crate: commands are made of small pieces that one thread
/// allocates and another frees, which takes a third of the engine's time with glibc's allocator.
/// librdkafka, which allocates each header of a record, is linked against it, too.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
