//! The moments that a read of one thing may ask for.

use infra::{
    clock::Clock,
    http::fields::{Fields, Validate},
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::replay::selection::Bound;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct When {
    /// As it was then: an instant, `now-7d` (`s`, `m`, `h`, `d`, `w`), or a `Tradewind-Position`, which has to
    /// name the thing's shard. Needs the journal.
    #[param(inline, example = "2026-01-31T12:00:00Z")]
    pub(super) as_of: Option<Bound>,
    /// With `as_of`: also what has changed from then until this moment, in the member `diff`.
    #[param(inline)]
    pub(super) diff: Option<Bound>,
}

impl Validate for When {
    fn validate(&self, fields: &mut Fields) {
        let now = Clock::System.now();
        for (pointer, bound) in [("/as_of", &self.as_of), ("/diff", &self.diff)] {
            let is_past =
                bound.as_ref().and_then(|bound| bound.time(now)).is_none_or(|at| at <= now);
            fields.check(pointer, "out_of_range", is_past, "must not be in the future");
        }
        let is_alone = self.as_of.is_none() && self.diff.is_some();
        fields.check("/as_of", "required", !is_alone, "`diff` begins where `as_of` is");
        if let (Some(from), Some(to)) = (&self.as_of, &self.diff) {
            let is_ordered = from.is_before(to, now);
            fields.check("/diff", "out_of_range", is_ordered, "must not be before `as_of`");
        }
    }
}

impl When {
    /// None: as it is now.
    pub(super) const fn is_now(&self) -> bool {
        self.as_of.is_none()
    }
}
