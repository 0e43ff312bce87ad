//! The projections that requests may wait for, and the views that are read: all read models of this
//! release.

use infra::freshness::{Projection, Reads};

pub(crate) const ALL: &[Projection] = &shown();

/// What migrations make.
const VIEWS: [&str; 2] = ["parked_streams", "positions"];

const fn shown() -> [Projection; read_models::ALL.len()] {
    let mut shown = [Projection(""); read_models::ALL.len()];
    let mut index = 0;
    while index < shown.len() {
        shown[index] = read_models::ALL[index].shown();
        index += 1;
    }
    shown
}

pub(crate) fn reads() -> Reads {
    let made = read_models::ALL.iter().flat_map(|projection| projection.views);
    let mut views: Vec<_> = made.map(|(name, _)| *name).chain(VIEWS).collect();
    views.sort_unstable();
    Reads { projections: ALL, views }
}
