//! How a cart becomes an order: what the buyer must give, and at which prices.

use crate::{
    cart::{Cart, Channel, Checkout, Event, Line, Rejection, Status, Terms, decide::expiry, line},
    id::OrderId,
    payment,
    sku::Listing,
    timestamp::Timestamp,
};

impl Cart {
    pub(super) fn check_out(
        &self,
        order_id: OrderId,
        terms: &Terms,
        now: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        if self.status == Status::CheckedOut
            && self.order_id == Some(order_id)
            && self.agreed.as_deref().is_some_and(|agreed| agreed.is_as(terms))
        {
            return Ok(vec![]);
        }
        let rules = self.open()?;
        if terms.order_exists {
            return Err(Rejection::OrderExists);
        }
        if self.lines().is_empty() {
            return Err(Rejection::Empty);
        }
        let placed_at = match terms.channel {
            Channel::Web => check_web(terms, now)?,
            Channel::Pos => check_pos(rules, terms, now)?,
        };
        let lines = self
            .lines()
            .iter()
            .map(|line| price(rules, line, terms))
            .collect::<Result<Vec<Line>, Rejection>>()?;
        let checkout = Checkout {
            totals: line::totals(rules.currency, &lines),
            lines,
            channel: terms.channel,
            placed_at,
            method_token: terms.method_token.clone(),
            customer_reference: terms.customer_reference.clone(),
            email: terms.email.clone(),
            shipping_address: terms.shipping_address.clone(),
        };
        Ok(vec![Event::CheckedOut { order_id, checkout }])
    }

    /// Nothing to do where the cart has gone on since, be it open or checked out once more, as the
    /// same order or another one.
    pub(super) fn refuse_checkout(
        &self,
        order_id: OrderId,
        checkout: &Checkout,
        code: &str,
        detail: &str,
        now: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        match self.status {
            _ if self.currency.is_none() => Err(Rejection::NotFound),
            Status::CheckedOut
                if self.order_id == Some(order_id)
                    && self.checkout().as_ref() == Some(checkout) =>
            {
                let (code, detail) = (code.to_owned(), detail.to_owned());
                Ok(vec![Event::CheckoutRefused {
                    order_id,
                    code,
                    detail,
                    expires_at: expiry(self.staff, now),
                }])
            }
            Status::Open | Status::CheckedOut | Status::Abandoned | Status::Ended => Ok(vec![]),
        }
    }
}

fn check_web(terms: &Terms, now: Timestamp) -> Result<Timestamp, Rejection> {
    if terms.occurred_at.is_some() {
        return Err(Rejection::OccurredAtNotAllowed);
    }
    if terms.email.is_none() {
        return Err(Rejection::EmailMissing);
    }
    if terms.shipping_address.is_none() {
        return Err(Rejection::ShippingAddressMissing);
    }
    match terms.method_token.as_str() {
        "" => Err(Rejection::MethodTokenMissing),
        // Cash counts as paid at once, so nobody may claim it from afar.
        payment::CASH => Err(Rejection::CashNeedsTill),
        _ => Ok(now),
    }
}

fn check_pos(rules: line::Rules, terms: &Terms, now: Timestamp) -> Result<Timestamp, Rejection> {
    if !rules.staff {
        return Err(Rejection::TillNeedsStaff);
    }
    if terms.method_token.is_empty() {
        return Err(Rejection::MethodTokenMissing);
    }
    match terms.occurred_at {
        Some(at) if at > now => Err(Rejection::OccurredAtInFuture),
        Some(at) => Ok(at),
        None => Ok(now),
    }
}

/// The line as it is sold.
fn price(rules: line::Rules, line: &Line, terms: &Terms) -> Result<Line, Rejection> {
    let found = terms.listings.iter().find(|(sku, _)| *sku == line.sku);
    let listing: &Listing = found
        .and_then(|(_, listing)| listing.as_ref())
        .ok_or_else(|| Rejection::SkuNotSellable(line.sku.clone()))?;
    if listing.product_id != line.product_id {
        return Err(Rejection::ProductReplaced(line.sku.clone()));
    }
    // What was rung up stands: at the till the sale has taken place, and staff worked out an
    // adjustment from the price that they saw.
    let rung_up = terms.channel == Channel::Pos || !line.adjustments.is_empty();
    if rung_up || listing.price == line.unit_price {
        return Ok(line.clone());
    }
    if !terms.accept_price_changes {
        return Err(Rejection::PriceChanged {
            sku: line.sku.clone(),
            shown: line.unit_price,
            current: listing.price,
        });
    }
    rules.check(Line { unit_price: listing.price, ..line.clone() })
}
