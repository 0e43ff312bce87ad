//! Which lines of a batch run side by side, and which wait for earlier ones.
//!
//! A client that sends lines in an order expects that order where it matters: a cart is created
//! before it is checked out, stock is there before an order asks for it. A line therefore waits
//! for earlier ones that name the same thing, and for all earlier ones of another kind of thing,
//! since a cart sells what products and stock have become. What is left, different things of one
//! kind, runs side by side.

use std::collections::VecDeque;

use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// What a line touches, as far as its text shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Touches {
    /// The first part of the path behind `/v1`: `carts`, `products`, …
    kind: String,
    /// Ids and codes, in one spelling each. `None`: it cannot be told.
    names: Option<Vec<String>>,
}

impl Touches {
    /// What the path names, and the body of what it creates.
    pub(super) fn of(path: &str, body: Option<&Value>) -> Self {
        let path = path.split('?').next().unwrap_or_default();
        let mut parts = path.split('/').skip(2);
        let kind = parts.next().unwrap_or_default().to_owned();
        let in_body = |field: &str| body?.get(field)?.as_str();
        let named = [parts.next(), in_body("id"), in_body("sku")];
        let named = named.into_iter().flatten();
        // A SKU may be spelt in many ways once it is escaped.
        let names = (!path.contains('%')).then(|| named.map(spelling).collect());
        Self { kind, names }
    }

    fn depends_on(&self, earlier: &Self) -> bool {
        match (&self.names, &earlier.names) {
            (Some(mine), Some(theirs)) => {
                self.kind != earlier.kind || mine.iter().any(|name| theirs.contains(name))
            }
            _ => true,
        }
    }
}

fn spelling(name: &str) -> String {
    Uuid::try_parse(name).map_or_else(|_| name.to_owned(), |id| id.to_string())
}

/// The lines that may still be under way.
pub(super) struct Order {
    recent: VecDeque<(Touches, CancellationToken)>,
    under_way_max: usize,
}

impl Order {
    /// `under_way_max`: when that many lines have begun since a line, it is done.
    pub(super) fn new(under_way_max: usize) -> Self {
        Self { recent: VecDeque::with_capacity(under_way_max), under_way_max }
    }

    pub(super) fn turn(&mut self, touches: Touches) -> Turn {
        let waits = self.recent.iter().filter(|(earlier, _)| touches.depends_on(earlier));
        let waits =
            waits.map(|(_, done)| done.clone()).filter(|done| !done.is_cancelled()).collect();
        let done = CancellationToken::new();
        if self.recent.len() >= self.under_way_max {
            self.recent.pop_front();
        }
        self.recent.push_back((touches, done.clone()));
        Turn { waits, done: done.drop_guard() }
    }
}

/// A line's place in the order. Dropping it lets those go on that wait for the line.
pub(super) struct Turn {
    waits: Vec<CancellationToken>,
    done: DropGuard,
}

impl Turn {
    pub(super) async fn come(self) -> DropGuard {
        for earlier in &self.waits {
            earlier.cancelled().await;
        }
        self.done
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const A: &str = "018f0000-0000-7000-8000-00000000000a";

    #[track_caller]
    fn check(earlier: (&str, Value), later: (&str, Value), expected: bool) {
        let [earlier, later] = [earlier, later].map(|(path, body)| Touches::of(path, Some(&body)));
        assert_eq!(later.depends_on(&earlier), expected, "{later:?} after {earlier:?}");
    }

    #[test]
    fn lines_on_the_same_thing_keep_their_order() {
        let checkout = format!("/v1/carts/{}/checkout", A.to_uppercase());
        check(("/v1/carts", json!({"id": A})), (&checkout, json!({})), true);
        check(("/v1/products", json!({"sku": "x"})), ("/v1/products", json!({"sku": "x"})), true);
        check(("/v1/stock/x/receive", json!({})), ("/v1/stock/x/adjust", json!({})), true);
        check(("/v1/stock/x/receive", json!({})), ("/v1/stock/%78/adjust", json!({})), true);
    }

    #[test]
    fn different_things_of_a_kind_run_side_by_side() {
        check(("/v1/carts", json!({"id": A})), ("/v1/carts/b/lines", json!({})), false);
        check(("/v1/stock/x/receive", json!({})), ("/v1/stock/y/receive", json!({})), false);
        check(("/v1/products", json!({"sku": "x"})), ("/v1/products", json!({"sku": "y"})), false);
    }

    #[test]
    fn another_kind_waits_for_all_before() {
        check(("/v1/stock/x/receive", json!({})), ("/v1/carts/b/checkout", json!({})), true);
    }

    #[tokio::test]
    async fn a_turn_comes_when_what_it_waits_for_is_done() {
        let mut order = Order::new(8);
        let first = order.turn(Touches::of("/v1/carts/a", None));
        let other = order.turn(Touches::of("/v1/carts/b", None));
        let second = order.turn(Touches::of("/v1/carts/a/lines", None));
        drop(other.come().await);
        let mut second = std::pin::pin!(second.come());
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first.come().await);
        second.await;
    }
}
