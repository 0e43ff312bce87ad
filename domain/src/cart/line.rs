//! How a line comes to be: its checks, its total, and the totals of many.
//!
//! **Invariant:** a line's subtotal and total lie within `0..=LINE_AMOUNT_MAX`, so the sums of
//! `LINES_MAX` lines fit 64 bits with room to spare.

use crate::{
    cart::{Adjustment, LINE_AMOUNT_MAX, LINES_MAX, Line, NewLine, Rejection, Totals},
    money::{Currency, Money},
};

/// Of one SKU in a cart made by staff; more is refused.
pub const QUANTITY_MAX: u32 = 1_000_000;

/// Of one SKU in a guest's cart, whose checkout holds that much stock before anybody has paid; more is
/// refused.
pub const GUEST_QUANTITY_MAX: u32 = 10_000;

/// What the lines of a cart may take in an event; more is refused. A record of Kafka has 1,000,000
/// bytes unless configured otherwise, and what the log does not take would stop a shard.
pub const LINES_BYTES_MAX: usize = 900_000;

/// What every line of a cart must agree with.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    pub(super) currency: Currency,
    pub(super) staff: bool,
}

impl Rules {
    /// The line that was asked for, at the price of its listing.
    pub(super) fn line(self, new: &NewLine) -> Result<Line, Rejection> {
        let sku = || new.sku.clone();
        let listing = new.listing.as_ref().ok_or_else(|| Rejection::SkuNotSellable(sku()))?;
        self.check(Line {
            sku: sku(),
            product_id: listing.product_id,
            name: listing.name.clone(),
            department: listing.department.clone(),
            quantity: new.quantity,
            unit_price: listing.price,
            adjustments: new.adjustments.clone(),
            total: Money::zero(self.currency),
        })
    }

    /// Checks a line and works out its total.
    pub(super) fn check(self, line: Line) -> Result<Line, Rejection> {
        let currency = self.currency;
        let differs = |money: Money| money.currency != currency;
        let max = if self.staff { QUANTITY_MAX } else { GUEST_QUANTITY_MAX };
        if !(1..=max).contains(&line.quantity) {
            return Err(Rejection::Quantity { sku: line.sku, max });
        }
        if !line.adjustments.is_empty() && !self.staff {
            return Err(Rejection::AdjustmentsNotAllowed);
        }
        if differs(line.unit_price) || line.adjustments.iter().any(|a| differs(a.amount)) {
            return Err(Rejection::CurrencyDiffers { sku: line.sku, currency });
        }
        match total(&line) {
            Some(total) if total < 0 => Err(Rejection::TotalNegative(line.sku)),
            Some(total) => Ok(Line { total: Money::new(total, currency), ..line }),
            None => Err(Rejection::AmountTooLarge(line.sku)),
        }
    }

    /// Lines as asked for, those of the same SKU merged.
    pub(super) fn lines(self, new: &[NewLine]) -> Result<Vec<Line>, Rejection> {
        let mut lines: Vec<Line> = Vec::with_capacity(new.len().min(LINES_MAX));
        for new in new {
            let line = self.line(new)?;
            if let Some(old) = lines.iter_mut().find(|old| old.sku == line.sku) {
                *old = self.merge(old, line)?;
            } else if lines.len() < LINES_MAX {
                lines.push(line);
            } else {
                return Err(Rejection::TooManyLines);
            }
        }
        check_size(&lines)?;
        Ok(lines)
    }

    /// Both quantities and all adjustments, at the price that was shown last: the buyer who adds
    /// to a line sees the listing of today.
    pub(super) fn merge(self, old: &Line, new: Line) -> Result<Line, Rejection> {
        let quantity = old.quantity.saturating_add(new.quantity);
        let adjustments: Vec<Adjustment> =
            old.adjustments.iter().chain(&new.adjustments).cloned().collect();
        self.check(Line { quantity, adjustments, ..new })
    }
}

/// Whether the lines of a cart fit an event.
pub(super) fn check_size<'a>(lines: impl IntoIterator<Item = &'a Line>) -> Result<(), Rejection> {
    let bytes = lines.into_iter().map(bytes_max).fold(0, usize::saturating_add);
    if bytes > LINES_BYTES_MAX { Err(Rejection::TooLarge) } else { Ok(()) }
}

/// More than a line takes as JSON: field names and numbers at their longest, and text that doubles
/// because each character has to be escaped.
pub(super) fn bytes_max(line: &Line) -> usize {
    const LINE: usize = 400;
    const ADJUSTMENT: usize = 120;
    let text = |text: &str| text.len().saturating_mul(2);
    let head = [line.sku.as_str(), &line.name, line.department.as_deref().unwrap_or_default()];
    let adjustments = line.adjustments.iter().map(|adjustment| {
        ADJUSTMENT.saturating_add(text(&adjustment.kind)).saturating_add(text(&adjustment.reason))
    });
    head.into_iter().map(text).chain(adjustments).fold(LINE, usize::saturating_add)
}

/// `None` if it or a part of it is beyond the limit.
fn total(line: &Line) -> Option<i64> {
    let within = |amount: &i64| *amount <= LINE_AMOUNT_MAX;
    let subtotal = line.unit_price.amount.checked_mul(i64::from(line.quantity)).filter(within)?;
    line.adjustments
        .iter()
        .try_fold(subtotal, |sum, adjustment| sum.checked_add(adjustment.amount.amount))
        .filter(within)
}

/// The totals of lines that passed the checks.
pub(super) fn totals(currency: Currency, lines: &[Line]) -> Totals {
    // Saturating, for the lint's peace: the limits above keep the sums far from the edge.
    let sum = |amount: fn(&Line) -> i64| lines.iter().map(amount).fold(0, i64::saturating_add);
    let subtotal = sum(|line| line.unit_price.amount.saturating_mul(line.quantity.into()));
    let total = sum(|line| line.total.amount);
    Totals {
        subtotal: Money::new(subtotal, currency),
        discount: Money::new(subtotal.saturating_sub(total), currency),
        total: Money::new(total, currency),
    }
}
