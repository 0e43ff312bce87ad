//! The rules of a cart: what may go in, and when it becomes an order.

use std::time::Duration;

use crate::{
    aggregate::Decide,
    cart::{Adjustment, Cart, Command, Event, LINES_MAX, Line, NewLine, Rejection, Status, line},
    id::Sku,
    money::Currency,
    timestamp::Timestamp,
};

const DAY: u64 = 24 * 60 * 60;
/// How long a cart of staff waits for its next change before it is abandoned.
pub const IDLE_MAX: Duration = Duration::from_secs(30 * DAY);
/// As long does a guest's: anybody can make any number of them.
pub const GUEST_IDLE_MAX: Duration = Duration::from_secs(7 * DAY);
/// How long a guest's cart is there once it has become an order, which has all of it.
pub const GUEST_KEPT: Duration = Duration::from_secs(7 * DAY);

impl Decide for Cart {
    type Command = Command;
    type Rejection = Rejection;

    fn decide(&self, command: &Command, now: Timestamp) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Create { currency, staff, lines } => {
                self.create(*currency, *staff, lines, now)
            }
            Command::AddLine { line } => self.add_line(line, now),
            Command::ChangeLine { sku, quantity: 0, .. } | Command::RemoveLine { sku } => {
                self.remove_line(sku, now)
            }
            Command::ChangeLine { sku, quantity, adjustments } => {
                self.change_line(sku, *quantity, adjustments.as_ref(), now)
            }
            Command::ReplaceLines { lines } => self.replace_lines(lines, now),
            Command::CheckOut { order_id, terms } => self.check_out(*order_id, terms, now),
            Command::RefuseCheckout { order_id, checkout, code, detail } => {
                self.refuse_checkout(*order_id, checkout, code, detail, now)
            }
            Command::Expire => Ok(self.expire(now)),
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.expires_at().or_else(|| self.ends_at())
    }

    fn expire() -> Option<Command> {
        Some(Command::Expire)
    }
}

impl Cart {
    fn expire(&self, now: Timestamp) -> Vec<Event> {
        let is_due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        if is_due(self.expires_at()) {
            vec![Event::Abandoned {}]
        } else if is_due(self.ends_at()) {
            vec![Event::Ended {}]
        } else {
            vec![]
        }
    }

    /// What a new line must agree with, while the cart can still change.
    pub(super) fn open(&self) -> Result<line::Rules, Rejection> {
        let currency = self.currency.ok_or(Rejection::NotFound)?;
        match self.status {
            Status::Open => Ok(line::Rules { currency, staff: self.staff }),
            Status::CheckedOut | Status::Abandoned | Status::Ended => {
                Err(Rejection::NotOpen { status: self.status })
            }
        }
    }

    fn create(
        &self,
        currency: Currency,
        staff: bool,
        lines: &[NewLine],
        now: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        let lines = line::Rules { currency, staff }.lines(lines)?;
        if self.currency.is_none() {
            return Ok(vec![Event::Created {
                currency,
                staff,
                lines,
                expires_at: expiry(staff, now),
            }]);
        }
        let same = self.status == Status::Open
            && self.currency == Some(currency)
            && self.staff == staff
            && self.lines() == lines;
        if same { Ok(vec![]) } else { Err(Rejection::Exists) }
    }

    fn add_line(&self, new: &NewLine, now: Timestamp) -> Result<Vec<Event>, Rejection> {
        let rules = self.open()?;
        let line = rules.line(new)?;
        let expires_at = expiry(self.staff, now);
        if let Some(old) = self.line(&line.sku) {
            let line = rules.merge(old, line)?;
            self.check_size_with(&line)?;
            return Ok(vec![Event::LineChanged { line, expires_at }]);
        }
        if self.lines().len() >= LINES_MAX {
            return Err(Rejection::TooManyLines);
        }
        self.check_size_with(&line)?;
        Ok(vec![Event::LineAdded { line, expires_at }])
    }

    fn change_line(
        &self,
        sku: &Sku,
        quantity: u32,
        adjustments: Option<&Vec<Adjustment>>,
        now: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        let rules = self.open()?;
        let old = self.line(sku).ok_or_else(|| Rejection::LineNotFound(sku.clone()))?;
        let adjustments = adjustments.unwrap_or(&old.adjustments).clone();
        let line = rules.check(Line { quantity, adjustments, ..old.clone() })?;
        self.check_size_with(&line)?;
        let changed = line != *old;
        let event = Event::LineChanged { line, expires_at: expiry(self.staff, now) };
        Ok(if changed { vec![event] } else { vec![] })
    }

    /// With this line in the place of the one of its SKU, if there is one.
    fn check_size_with(&self, line: &Line) -> Result<(), Rejection> {
        let others = self.lines().iter().filter(|other| other.sku != line.sku);
        line::check_size(others.chain([line]))
    }

    /// A line that is not there is removed already.
    fn remove_line(&self, sku: &Sku, now: Timestamp) -> Result<Vec<Event>, Rejection> {
        self.open()?;
        let event = Event::LineRemoved { sku: sku.clone(), expires_at: expiry(self.staff, now) };
        Ok(if self.line(sku).is_some() { vec![event] } else { vec![] })
    }

    fn replace_lines(&self, new: &[NewLine], now: Timestamp) -> Result<Vec<Event>, Rejection> {
        let lines = self.open()?.lines(new)?;
        let changed = self.lines() != lines;
        let event = Event::LinesReplaced { lines, expires_at: expiry(self.staff, now) };
        Ok(if changed { vec![event] } else { vec![] })
    }
}

pub(super) fn expiry(staff: bool, now: Timestamp) -> Timestamp {
    now.plus(if staff { IDLE_MAX } else { GUEST_IDLE_MAX })
}
