//! The one shape of every result.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use stack::console;

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

    /// The medians of rounds that took turns with those of `baseline`.
    pub(super) fn compared(
        figure: &'a str,
        values: &[f64],
        baseline: &[f64],
        unit: &'a str,
    ) -> Self {
        let (rounds, value, baseline) = (values.len(), median(values), median(baseline));
        let ratio = Some(value / baseline);
        Self { figure, value, unit, baseline: Some(baseline), ratio, rounds }
    }

    /// A figure with what it is meant not to exceed, if anything.
    pub(super) fn aimed(
        figure: &'a str,
        value: f64,
        aim: impl Into<Option<f64>>,
        unit: &'a str,
        rounds: usize,
    ) -> Self {
        let baseline = aim.into();
        Self { figure, value, unit, baseline, ratio: baseline.map(|aim| value / aim), rounds }
    }

    /// How often something happened in all rounds.
    pub(super) const fn counted(figure: &'a str, value: f64, rounds: usize) -> Self {
        Self { figure, value, unit: "1", baseline: None, ratio: None, rounds }
    }

    /// What it is of its baseline.
    pub(super) fn ratio(&self) -> f64 {
        self.ratio.unwrap_or(f64::NAN)
    }

    pub(super) fn print(&self) -> Result<()> {
        console::line(&serde_json::to_string(self)?);
        Ok(())
    }
}

pub(super) fn per_second(count: usize, time: Duration) -> Result<f64> {
    Ok(f64::from(u32::try_from(count)?) / time.as_secs_f64())
}

/// The smallest value that at least so many of a hundred do not exceed.
pub(super) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// Of two in the middle, the lower.
fn median(values: &[f64]) -> f64 {
    percentile(values, 50)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_compared() {
        let figure = Figure::compared("f", &[9.0, 1.0, 4.0], &[8.0, 8.0, 100.0], "1/s");
        expect_test::expect![[
            r#"{"figure":"f","value":4.0,"unit":"1/s","baseline":8.0,"ratio":0.5,"rounds":3}"#
        ]]
        .assert_eq(&serde_json::to_string(&figure).expect("a figure is JSON"));
    }

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let values: Vec<f64> = (1..=40).rev().map(f64::from).collect();
        let found = [0, 50, 99, 100].map(|percent| percentile(&values, percent));
        assert_eq!(found, [1.0, 20.0, 40.0, 40.0]);
        assert!(percentile(&[], 50).is_nan());
    }
}
