//! Which lines of a batch run side by side, and which wait for earlier ones.
//!
//! A client that sends lines in an order expects that order where it matters: a cart is created
//! before it is checked out, stock is there before an order asks for it. A line therefore waits
//! for earlier ones that name the same thing, and for all earlier ones of another kind of thing,
//! since a cart sells what products and stock have become. What is left, different things of one
//! kind, runs side by side.
//!
//! A line without an answer that stands (503, say) takes along those that would have waited for
//! it: they are not tried, so that the client can send all of them again.

use std::collections::VecDeque;

use futures_util::{FutureExt, future::Shared};
use rustc_hash::FxHashSet;
use serde::Deserialize;
use serde_json::Value;
use tokio::{sync::oneshot, task::coop};
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
    pub(super) fn of(path: &str, body: Named) -> Self {
        let path = path.split('?').next().unwrap_or_default();
        let mut parts = path.split('/').skip(2);
        let kind = parts.next().unwrap_or_default().to_owned();
        let named = parts.next().into_iter().chain(body.texts());
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

/// What a body names. Other members are passed over.
#[derive(Default, Deserialize)]
pub(super) struct Named {
    id: Option<Value>,
    sku: Option<Value>,
}

impl Named {
    fn texts(&self) -> impl Iterator<Item = &str> {
        [&self.id, &self.sku].into_iter().flatten().filter_map(Value::as_str)
    }
}

fn spelling(name: &str) -> String {
    Uuid::try_parse(name).map_or_else(|_| name.to_owned(), |id| id.to_string())
}

/// What the lines so far leave behind for those that follow.
pub(super) struct Sequencer {
    /// The lines that may still be under way.
    recent: VecDeque<(Touches, Shared<oneshot::Receiver<()>>)>,
    under_way_max: usize,
    /// What lines before those touched that were lost.
    lost: Lost,
}

#[derive(Default)]
struct Lost {
    kinds: FxHashSet<String>,
    names: FxHashSet<String>,
    /// It cannot be told what else was lost.
    unnamed: bool,
}

/// A line was lost that this one follows. It cannot be tried: its own no would be stored, although
/// it may be a yes once the lost line is sent again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EarlierLost;

impl Sequencer {
    /// `under_way_max`: when that many lines have begun since a line, it has ended.
    pub(super) fn new(under_way_max: usize) -> Self {
        let recent = VecDeque::with_capacity(under_way_max);
        Self { recent, under_way_max, lost: Lost::default() }
    }

    pub(super) fn turn(&mut self, touches: Touches) -> Turn {
        if self.recent.len() >= self.under_way_max
            && let Some((touched, ended)) = self.recent.pop_front()
            // A task that has used up its budget would find everything pending.
            && coop::unconstrained(ended).now_or_never() != Some(Ok(()))
        {
            self.lost.add(touched);
        }
        let follows_lost = self.lost.precedes(&touches);
        let waits = self.recent.iter().filter(|(earlier, _)| touches.depends_on(earlier));
        let waits = waits.map(|(_, ended)| ended.clone()).collect();
        let (end, ended) = oneshot::channel();
        self.recent.push_back((touches, ended.shared()));
        Turn { follows_lost, waits, guard: TurnGuard(end) }
    }
}

impl Lost {
    fn add(&mut self, touched: Touches) {
        self.kinds.insert(touched.kind);
        self.unnamed |= touched.names.is_none();
        self.names.extend(touched.names.into_iter().flatten());
    }

    fn precedes(&self, touches: &Touches) -> bool {
        self.unnamed
            || self.kinds.iter().any(|kind| *kind != touches.kind)
            || match &touches.names {
                Some(names) => names.iter().any(|name| self.names.contains(name)),
                None => !self.kinds.is_empty(),
            }
    }
}

/// The turn of a line, which may not have come yet.
pub(super) struct Turn {
    follows_lost: bool,
    waits: Vec<Shared<oneshot::Receiver<()>>>,
    guard: TurnGuard,
}

/// A line whose turn has come. Dropping it loses the line for those that follow it.
pub(super) struct TurnGuard(oneshot::Sender<()>);

impl Turn {
    /// Waits for the lines before.
    pub(super) async fn come(self) -> Result<TurnGuard, EarlierLost> {
        let Self { mut follows_lost, waits, guard } = self;
        for earlier in waits {
            follows_lost |= earlier.await.is_err();
        }
        if follows_lost { Err(EarlierLost) } else { Ok(guard) }
    }
}

impl TurnGuard {
    /// The line has an answer that stands, be it yes or no.
    pub(super) fn end(self) {
        // Nobody may be waiting for it.
        self.0.send(()).ok();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const A: &str = "018f0000-0000-7000-8000-00000000000a";

    #[track_caller]
    fn check(earlier: (&str, Value), later: (&str, Value), expected: bool) {
        let [earlier, later] = [earlier, later]
            .map(|(path, body)| Touches::of(path, serde_json::from_value(body).unwrap()));
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
    async fn a_turn_comes_when_what_it_waits_for_has_ended() {
        let mut sequencer = Sequencer::new(8);
        let first = sequencer.turn(Touches::of("/v1/carts/a", Named::default()));
        let other = sequencer.turn(Touches::of("/v1/carts/b", Named::default()));
        let second = sequencer.turn(Touches::of("/v1/carts/a/lines", Named::default()));
        other.come().await.unwrap().end();
        let mut second = std::pin::pin!(second.come());
        assert!(futures_util::poll!(&mut second).is_pending());
        first.come().await.unwrap().end();
        assert!(second.await.is_ok());
    }

    #[tokio::test]
    async fn a_line_that_has_ended_is_not_lost_to_a_task_without_budget() {
        let mut sequencer = Sequencer::new(1);
        sequencer.turn(Touches::of("/v1/carts/a", Named::default())).come().await.unwrap().end();
        while coop::has_budget_remaining() {
            coop::consume_budget().now_or_never();
        }
        let next = sequencer.turn(Touches::of("/v1/carts/a/lines", Named::default()));
        assert!(next.come().await.is_ok());
    }

    #[tokio::test]
    async fn what_follows_a_lost_line_is_lost_too_however_late_it_comes() {
        let mut sequencer = Sequencer::new(2);
        let lost = sequencer.turn(Touches::of("/v1/carts/a", Named::default()));
        let soon = sequencer.turn(Touches::of("/v1/carts/a/lines", Named::default()));
        drop(lost.come().await);
        assert_eq!(soon.come().await.err(), Some(EarlierLost));
        for _ in 0..5 {
            let other = sequencer.turn(Touches::of("/v1/carts/b/lines", Named::default()));
            other.come().await.unwrap().end();
        }
        let late = sequencer.turn(Touches::of("/v1/carts/a/checkout", Named::default()));
        assert_eq!(late.come().await.err(), Some(EarlierLost));
        let another_kind = sequencer.turn(Touches::of("/v1/stock/x/receive", Named::default()));
        assert_eq!(another_kind.come().await.err(), Some(EarlierLost));
    }
}
