//! Which texts of events tell of a person: one declaration per event type.
//!
//! Who shows events to others than those they are about shows personal texts as pseudonyms. Numbers and
//! booleans are never personal here.
//!
//! **Invariant:** what is not declared counts as personal, so that nothing leaks that somebody forgot. A
//! test says that nothing is forgotten.

/// The texts of one type of event, in all of its versions. Members of lists have the path of the list.
#[derive(Debug)]
pub struct Texts {
    /// `order.placed`
    pub event: &'static str,
    pub personal: &'static [&'static str],
    pub plain: &'static [&'static str],
}

/// Members that are the same wherever they stand: ids, instants and codes.
const PLAIN_EVERYWHERE: &[&str] = &[
    "ask_again_at",
    "cart_id",
    "channel",
    "code",
    "currency",
    "event_id",
    "expires_at",
    "order_id",
    "parked_at",
    "payment_id",
    "placed_at",
    "product_id",
    "reservation_id",
    "sku",
    "step_id",
];

macro_rules! texts {
    ($($event:literal: [$($personal:literal),*] [$($plain:literal),*];)+) => {
        &[$(Texts { event: $event, personal: &[$($personal),*], plain: &[$($plain),*] }),+]
    };
}

/// What people type about goods, the reason of an adjustment say, may tell of a customer, too.
const TEXTS: &[Texts] = texts! {
    "api_key.issued": ["name", "hash", "sha256"] ["roles"];
    "api_key.revoked": [] [];
    "cart.abandoned": [] [];
    "cart.checked_out": ["checkout.customer_reference", "checkout.email", "checkout.method_token",
        "checkout.shipping_address", "checkout.lines.adjustments.reason"]
        ["checkout.lines.adjustments.kind", "checkout.lines.department", "checkout.lines.name",
        "checkout.shipping_address.country"];
    "cart.checkout_refused": [] ["detail"];
    "cart.created": ["lines.adjustments.reason"]
        ["lines.adjustments.kind", "lines.department", "lines.name"];
    "cart.ended": [] [];
    "cart.line_added": ["line.adjustments.reason"]
        ["line.adjustments.kind", "line.department", "line.name"];
    "cart.line_changed": ["line.adjustments.reason"]
        ["line.adjustments.kind", "line.department", "line.name"];
    "cart.line_removed": [] [];
    "cart.lines_replaced": ["lines.adjustments.reason"]
        ["lines.adjustments.kind", "lines.department", "lines.name"];
    "order.confirmed": [] [];
    "order.placed": ["customer_reference", "email", "method_token", "shipping_address",
        "lines.adjustments.reason"]
        ["lines.adjustments.kind", "lines.department", "lines.name", "shipping_address.country"];
    "order.rejected": [] ["reasons.detail"];
    "order.stock_reserved": [] [];
    "payment.action_required": ["reference"] [];
    "payment.asked_again": [] [];
    "payment.authorised": ["reference"] [];
    "payment.declined": ["detail"] [];
    "payment.expired": [] [];
    "payment.requested": ["method_token"] ["provider"];
    "payment.voided": [] ["reason"];
    "process.event_settled": [] [];
    "process.step_parked": ["failure.detail", "taken.refused.detail"]
        ["step.event_type", "step.name", "step.process", "step.stream", "step.target"];
    "process.step_retried": [] ["by"];
    "process.step_skipped": ["reason"] ["by"];
    "product.archived": [] ["reason"];
    "product.created": [] ["details.attributes", "details.brand", "details.category",
        "details.department", "details.description", "details.name", "details.product_type"];
    "product.price_changed": [] [];
    "product.published": [] [];
    "product.unpublished": [] [];
    "product.updated": [] ["details.attributes", "details.brand", "details.category",
        "details.department", "details.description", "details.name", "details.product_type"];
    "sku.claimed": [] [];
    "sku.confirmed": [] [];
    "sku.delisted": [] [];
    "sku.expired": [] [];
    "sku.lapsed": [] [];
    "sku.listed": [] ["listing.department", "listing.name"];
    "sku.released": [] [];
    "sku.withdrawn": [] [];
    "stock.adjusted": ["reason"] [];
    "stock.committed": [] [];
    "stock.expired": [] [];
    "stock.received": ["reference"] [];
    "stock.released": [] ["reason"];
    "stock.reserved": [] [];
    "stock.returned": [] [];
};

/// Of the worked example of docs/adding.md.
#[cfg(any(test, feature = "testing"))]
const EXAMPLES: &[Texts] = texts! {
    "wish_list.added": [] [];
    "wish_list.removed": [] [];
    "wish_list.renamed": ["name"] [];
};
#[cfg(not(any(test, feature = "testing")))]
const EXAMPLES: &[Texts] = &[];

/// The names of all types of events that a release has, sorted.
pub fn events() -> impl Iterator<Item = &'static str> {
    TEXTS.iter().map(|texts| texts.event)
}

/// What is declared of an event such as `order.placed`.
#[must_use]
pub fn of(event: &str) -> Option<&'static Texts> {
    TEXTS.iter().chain(EXAMPLES).find(|texts| texts.event == event)
}

impl Texts {
    /// Whether the text at this path tells of nobody. What is declared of a member holds for all in it
    /// of which nothing else is.
    #[must_use]
    pub fn is_plain(&self, path: &str) -> bool {
        self.declared(path).unwrap_or(false)
    }

    fn declared(&self, path: &str) -> Option<bool> {
        let mut at = path;
        loop {
            if self.personal.contains(&at) {
                return Some(false);
            }
            if self.plain.contains(&at) {
                return Some(true);
            }
            match at.rsplit_once('.') {
                Some((parent, _)) => at = parent,
                None => break,
            }
        }
        let name = path.rsplit_once('.').map_or(path, |(_, name)| name);
        PLAIN_EVERYWHERE.contains(&name).then_some(true)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::testing::golden;

    fn paths(value: &Value, at: &str, found: &mut BTreeSet<String>) {
        match value {
            Value::String(_) => {
                found.insert(at.to_owned());
            }
            Value::Array(items) => items.iter().for_each(|item| paths(item, at, found)),
            Value::Object(members) => {
                for (name, member) in members {
                    let at = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                    paths(member, &at, found);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    #[test]
    fn every_text_of_every_event_is_declared_one_way_or_the_other() {
        let mut known = BTreeSet::new();
        for golden in golden::all() {
            let event = format!("{}.{}", golden.stream_type.as_str(), golden.event);
            let texts = of(&event).unwrap_or_else(|| panic!("nothing is declared of {event}"));
            let mut found = BTreeSet::new();
            paths(&serde_json::from_str(&golden.data).unwrap(), "", &mut found);
            for path in found {
                assert!(texts.declared(&path).is_some(), "{event}: {path} is personal, or plain");
            }
            known.insert(texts.event);
        }
        let declared: BTreeSet<_> = TEXTS.iter().chain(EXAMPLES).map(|it| it.event).collect();
        assert_eq!(declared, known, "what is declared is an event");
        assert!(events().is_sorted());
    }

    #[test]
    fn what_is_not_declared_is_personal() {
        let placed = of("order.placed").unwrap();
        for personal in ["email", "phone", "shipping_address.line1", "shipping_address.note"] {
            assert!(!placed.is_plain(personal), "{personal}");
        }
        for plain in ["lines.name", "shipping_address.country", "totals.total.currency"] {
            assert!(placed.is_plain(plain), "{plain}");
        }
        assert!(of("product.created").unwrap().is_plain("details.attributes.fat"));
    }
}
