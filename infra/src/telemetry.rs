//! What a service tells its operators: log lines and metrics, always together.
//!
//! Code emits a typed event, `emit(AppendFailed { .. })`; its `emit` writes the line and moves the
//! metric, so the two never disagree. Metrics are constants of the types in [`metric`], declared
//! in each part's `metrics.rs` with a help text.
//!
//! **Invariant:** labels come from closed sets: no ids, no error text. **Invariant:** a log line
//! holds no token, address, name or body.

mod format;
pub mod metric;

use std::{error::Error, fmt};

use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config;

/// Something that happened, worth a log line, a metric or both.
pub trait Event {
    fn emit(self);
}

pub fn emit(event: impl Event) {
    event.emit();
}

/// Sends log lines to standard error and opens the metrics. Later calls change nothing, so that
/// many services can start in one test process.
///
/// # Errors
/// The filter is malformed.
pub fn init(settings: &config::Log) -> Result<(), InvalidFilter> {
    metric::install();
    let filter = EnvFilter::try_new(&settings.filter).map_err(InvalidFilter)?;
    let lines = tracing_subscriber::fmt::layer()
        .event_format(format::Lines(settings.format))
        .with_writer(std::io::stderr);
    // An error means that somebody was first, which is fine.
    tracing_subscriber::registry().with(filter).with(lines).try_init().ok();
    Ok(())
}

#[derive(Debug, thiserror::Error)]
#[error("the log filter is malformed")]
pub struct InvalidFilter(#[source] tracing_subscriber::filter::ParseError);

/// An error with all of its sources, for the place that logs it.
#[must_use]
pub fn chain<'a>(error: &'a (dyn Error + 'static)) -> Chain<'a> {
    Chain(error)
}

/// See [`chain`].
#[derive(Debug)]
pub struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
