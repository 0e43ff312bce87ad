//! What a stream holds at a revision.

use std::sync::Arc;

use domain::{Listed, State, envelope::Revision};
use serde::{Deserialize, Serialize};

/// A stream's state at a revision: of any aggregate, or of a certain one. Clones share the state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot<S = State> {
    pub state: S,
    pub revision: Revision,
}

impl Snapshot {
    /// As that of a certain aggregate; `None` if it is another's.
    #[must_use]
    pub fn of<A: Listed>(&self) -> Option<Snapshot<Arc<A>>> {
        let state = Arc::clone(A::of(&self.state)?);
        Some(Snapshot { state, revision: self.revision })
    }
}
