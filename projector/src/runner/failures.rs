//! What keeps a part of the projector from going on, as `/readyz` tells it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use infra::http::health::Condition;

/// A condition that holds while none of many parties has failed.
pub(crate) struct Failures<K> {
    condition: Condition,
    reasons: Mutex<BTreeMap<K, String>>,
}

impl<K: Ord> Failures<K> {
    #[must_use]
    pub(crate) fn none(condition: Condition) -> Self {
        condition.met();
        Self { condition, reasons: Mutex::default() }
    }

    pub(crate) fn raise(&self, party: K, reason: String) {
        self.change(|reasons| drop(reasons.insert(party, reason)));
    }

    pub(crate) fn clear(&self, party: &K) {
        self.change(|reasons| drop(reasons.remove(party)));
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<K, String>)) {
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut reasons);
        // Many parties tend to fail for the same reason, so the first one is enough.
        match reasons.values().next() {
            None => self.condition.met(),
            Some(reason) => self.condition.unmet(reason.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use infra::http::health::Readiness;

    use super::*;

    #[test]
    fn the_condition_holds_when_the_last_failure_is_over() {
        let readiness = Readiness::new();
        let failures = Failures::none(readiness.condition("kafka"));
        failures.raise(1, "shard 1: away".to_owned());
        failures.raise(2, "shard 2: away".to_owned());
        failures.clear(&1);
        assert_eq!(readiness.report().reasons[0].reason, "shard 2: away");
        failures.clear(&2);
        assert!(readiness.is_ready());
    }
}
