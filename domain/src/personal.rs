//! Which texts of events tell of a person: each aggregate declares it of its own events. What people type
//! about goods, the reason of an adjustment say, may tell of a customer, too.
//!
//! Who shows events to others than those they are about shows personal texts as pseudonyms. Numbers and
//! booleans are never personal here.
//!
//! **Invariant:** what is not declared counts as personal, so that nothing leaks that somebody forgot. A
//! test says that nothing is forgotten.

use std::iter;

/// The texts of one type of event, in all of its versions. Members of lists have the path of the list.
#[derive(Debug)]
pub struct Texts {
    /// `placed`, of the aggregate that declares it.
    pub event: &'static str,
    pub personal: &'static [&'static str],
    pub plain: &'static [&'static str],
}

/// Members that are the same wherever they stand: ids, instants and currencies.
const PLAIN_EVERYWHERE: &[&str] = &[
    "ask_again_at",
    "cart_id",
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

/// `"placed": ["email"] ["lines.name"];`: the personal ones, then the plain ones.
macro_rules! texts {
    ($($event:literal: [$($personal:literal),*] [$($plain:literal),*];)+) => {
        &[$($crate::personal::Texts {
            event: $event,
            personal: &[$($personal),*],
            plain: &[$($plain),*],
        }),+]
    };
}
pub(crate) use texts;

impl Texts {
    /// Whether the text at this path tells of nobody. What is declared of a member holds for all in it
    /// of which nothing else is.
    #[must_use]
    pub fn is_plain(&self, path: &str) -> bool {
        self.declared(path).unwrap_or(false)
    }

    /// Whether it is personal or plain; neither, if nothing is said.
    pub(crate) fn declared(&self, path: &str) -> Option<bool> {
        let name = path.rsplit_once('.').map_or(path, |(_, name)| name);
        let everywhere = || PLAIN_EVERYWHERE.contains(&name).then_some(true);
        let mut parents =
            iter::successors(Some(path), |at| at.rsplit_once('.').map(|(parent, _)| parent));
        self.said(parents.next()?)
            .or_else(everywhere)
            .or_else(|| parents.find_map(|at| self.said(at)))
    }

    fn said(&self, path: &str) -> Option<bool> {
        let is_plain = self.plain.contains(&path).then_some(true);
        self.personal.contains(&path).then_some(false).or(is_plain)
    }
}
