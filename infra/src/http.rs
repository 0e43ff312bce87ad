//! What every service says over HTTP in the same way: problems, extractors, paging, health,
//! metrics, documentation, and the server that carries them.
//!
//! **Invariant:** nothing here knows one endpoint. **Invariant:** every error body is a
//! [`problem::Problem`]; nothing else writes `application/problem+json`.

pub mod bounded;
pub mod client;
mod demand;
pub mod docs;
pub mod edge;
pub mod etag;
mod events;
pub mod extract;
pub mod fields;
pub mod headers;
pub mod health;
mod negotiate;
pub mod page;
pub mod problem;
pub mod rates;
pub mod server;
pub mod shapes;
pub mod syntax;
pub mod trace;
pub mod values;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
