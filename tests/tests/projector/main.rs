//! The projector on a real PostgreSQL, over a log in memory that the tests write themselves.

mod exactly_once;
mod halting;
mod history;
mod measure;
mod rig;
mod service;
