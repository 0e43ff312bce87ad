//! The numbers of the data set in Tradewind's words: ids and money.
//!
//! The same number always gives the same id, so an import that is sent again meets what it made the
//! first time. Money is in whole cents, rounded once, where a float leaves the file.

use std::{fmt, ops::AddAssign, sync::LazyLock};

use anyhow::{Result, ensure};
use domain::{
    id::{CartId, OrderId, ProductId},
    money::{Currency, Money},
};
use uuid::Uuid;

static NAMESPACE: LazyLock<Uuid> =
    LazyLock::new(|| Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"tradewind.import"));

/// The data set is of an American grocer.
pub(crate) const CURRENCY: Currency = Currency::USD;

/// Far above any sum of the data set and far below what a float cannot count in cents.
const DOLLARS_MAX: f64 = 1e9;

/// A basket as the data set numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BasketNumber(pub(crate) u64);

/// A product as the data set numbers it; as text it is the SKU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ProductNumber(pub(crate) u64);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cents(pub(crate) i64);

impl BasketNumber {
    pub(crate) fn order_id(self) -> OrderId {
        OrderId::new(derive(&format!("basket-{}", self.0)))
    }

    pub(crate) fn cart_id(self) -> CartId {
        CartId::new(derive(&format!("cart-{}", self.0)))
    }

    pub(crate) fn idempotency_key(self, step: &str) -> String {
        format!("basket-{}-{step}", self.0)
    }
}

impl ProductNumber {
    pub(crate) fn product_id(self) -> ProductId {
        ProductId::new(derive(&format!("product-{}", self.0)))
    }

    pub(crate) fn idempotency_key(self, step: &str) -> String {
        format!("product-{}-{step}", self.0)
    }
}

impl fmt::Display for ProductNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn derive(name: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, name.as_bytes())
}

impl Cents {
    /// Fails if it is not an amount that a till could have printed.
    pub(crate) fn from_dollars(dollars: f64) -> Result<Self> {
        ensure!((0.0..=DOLLARS_MAX).contains(&dollars), "{dollars} is not an amount of money");
        #[expect(clippy::cast_possible_truncation, reason = "whole, and bounded just above")]
        Ok(Self((dollars * 100.0).round() as i64))
    }

    pub(crate) const fn money(self) -> Money {
        Money::new(self.0, CURRENCY)
    }

    /// A part of this amount, to the nearest cent.
    pub(crate) fn divided_by(self, parts: u32) -> Self {
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

    /// Other tools find imported orders by these ids.
    #[test]
    fn ids_are_fixed() {
        let namespace = Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"tradewind.import");
        let order = BasketNumber(31_198_570_044).order_id().uuid();
        assert_eq!(order, Uuid::new_v5(&namespace, b"basket-31198570044"));
        let product = ProductNumber(1_095_275).product_id().uuid();
        assert_eq!(product, Uuid::new_v5(&namespace, b"product-1095275"));
        assert_ne!(BasketNumber(1).cart_id().uuid(), BasketNumber(1).order_id().uuid());
    }
}
