//! The rules of an order: it is confirmed once its stock is held and its total is paid, or
//! rejected; either is final. Process managers send all commands at least once, so each of them
//! finds nothing to do the second time.

use crate::{
    aggregate::Decide,
    cart::Checkout,
    id::{CartId, PaymentId},
    money::Money,
    order::{Command, Event, Order, Placed, Rejection, Status},
    timestamp::Timestamp,
};

impl Decide for Order {
    type Command = Command;
    type Rejection = Rejection;

    fn decide(&self, command: &Command, _now: Timestamp) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Place { cart_id, checkout } => self.place(*cart_id, checkout),
            Command::RecordStockReserved => self.record_stock_reserved(),
            Command::Confirm { payment_id, paid } => self.confirm(*payment_id, *paid),
            Command::Reject { reasons } => {
                self.placed()?;
                match self.status {
                    Status::Pending => Ok(vec![Event::Rejected { reasons: reasons.clone() }]),
                    Status::Confirmed => Err(Rejection::Confirmed),
                    Status::Rejected => Ok(vec![]),
                }
            }
        }
    }
}

impl Order {
    fn placed(&self) -> Result<&Placed, Rejection> {
        self.placed.as_ref().ok_or(Rejection::NotFound)
    }

    fn place(&self, cart_id: CartId, checkout: &Checkout) -> Result<Vec<Event>, Rejection> {
        match &self.placed {
            None => Ok(vec![Event::Placed { cart_id, checkout: checkout.clone() }]),
            Some(placed) if placed.cart_id == cart_id && placed.checkout == *checkout => Ok(vec![]),
            // Also of the same cart: one that was opened again may hold something else by now.
            Some(_) => Err(Rejection::Exists),
        }
    }

    fn record_stock_reserved(&self) -> Result<Vec<Event>, Rejection> {
        self.placed()?;
        match self.status {
            Status::Rejected => Err(Rejection::Rejected),
            Status::Pending | Status::Confirmed if self.stock_reserved => Ok(vec![]),
            Status::Pending | Status::Confirmed => Ok(vec![Event::StockReserved {}]),
        }
    }

    fn confirm(&self, payment_id: PaymentId, paid: Money) -> Result<Vec<Event>, Rejection> {
        let total = self.placed()?.checkout.totals.total;
        match self.status {
            Status::Rejected => Err(Rejection::Rejected),
            Status::Confirmed if self.payment_id == Some(payment_id) => Ok(vec![]),
            Status::Confirmed => Err(Rejection::Confirmed),
            Status::Pending if !self.stock_reserved => Err(Rejection::StockNotReserved),
            Status::Pending if paid != total => Err(Rejection::PaidDiffers),
            Status::Pending => Ok(vec![Event::Confirmed { payment_id, paid }]),
        }
    }
}
