//! The one shape of every result.

use anyhow::Result;
use serde::Serialize;

use crate::stack::console;

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Figure<'a> {
    figure: &'a str,
    value: f64,
    unit: &'a str,
    /// The same measured on what it is compared with.
    baseline: Option<f64>,
    ratio: Option<f64>,
    rounds: usize,
}

impl<'a> Figure<'a> {
    /// A figure that stands for itself, measured once.
    pub(super) const fn single(figure: &'a str, value: f64, unit: &'a str) -> Self {
        Self { figure, value, unit, baseline: None, ratio: None, rounds: 1 }
    }

    pub(super) fn print(&self) -> Result<()> {
        console::line(&serde_json::to_string(self)?);
        Ok(())
    }
}
