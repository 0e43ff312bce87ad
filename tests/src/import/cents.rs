//! Money of the data set: whole cents, rounded once, where a float leaves the file.

use std::{fmt, ops::AddAssign};

use anyhow::{Result, ensure};
use domain::money::{Currency, Money};

/// The data set is of an American grocer.
pub const CURRENCY: Currency = Currency::USD;

/// Far above any sum of the data set and far below what a float cannot count in cents.
const DOLLARS_MAX: f64 = 1e9;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cents(pub i64);

impl Cents {
    /// # Errors
    /// If it is not an amount that a till could have printed.
    pub fn from_dollars(dollars: f64) -> Result<Self> {
        ensure!((0.0..=DOLLARS_MAX).contains(&dollars), "{dollars} is not an amount of money");
        #[expect(clippy::cast_possible_truncation, reason = "whole, and bounded just above")]
        Ok(Self((dollars * 100.0).round() as i64))
    }

    #[must_use]
    pub const fn money(self) -> Money {
        Money::new(self.0, CURRENCY)
    }

    /// A part of this amount, to the nearest cent.
    #[must_use]
    pub fn divided_by(self, parts: u32) -> Self {
        let parts = i64::from(parts.max(1));
        Self((self.0 + parts / 2) / parts)
    }
}

impl AddAssign for Cents {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, amount) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        write!(f, "{sign}{}.{:02}", amount / 100, amount % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_become_the_nearest_cent() {
        // 1.15 and 8.41 are stored a little below, 2.675 above what was printed.
        for (dollars, cents) in [(0.0, 0), (1.15, 115), (8.41, 841), (0.29, 29), (840.0, 84_000)] {
            assert_eq!(Cents::from_dollars(dollars).unwrap(), Cents(cents), "{dollars}");
        }
        for bad in [-0.01, f64::NAN, f64::INFINITY, 1e12] {
            assert!(Cents::from_dollars(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_share_is_rounded_half_up() {
        assert_eq!(Cents(250).divided_by(3), Cents(83));
        assert_eq!(Cents(5).divided_by(2), Cents(3));
        assert_eq!(Cents(25_000).divided_by(89_638), Cents(0));
    }

    #[test]
    fn text_has_two_places() {
        let texts = [0, 5, -5, 1_234, -1_234].map(|cents| Cents(cents).to_string());
        assert_eq!(texts, ["0.00", "0.05", "-0.05", "12.34", "-12.34"]);
    }
}
