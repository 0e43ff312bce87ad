//! Waits for the read models, so that what is measured next does not pay for what came before.

use std::{ops::ControlFlow, time::Duration};

use anyhow::Result;
use tokio::time::Instant;

use crate::import::{queries::Queries, target::Target};
use stack::eventually::wait_for;

const LEVEL_WAIT_MAX: Duration = Duration::from_secs(300);

/// Until all of them hold all that the log holds now. A projector looks at the log's end once a second.
pub(super) async fn level(target: &Target) -> Result<()> {
    let (queries, began) = (Queries::new(target)?, Instant::now());
    wait_for("the read models to hold all of the log", LEVEL_WAIT_MAX, || async {
        let places = match queries.positions().await {
            Ok(places) => places,
            Err(error) => return ControlFlow::Break(Err(error)),
        };
        let since = began.elapsed().as_secs_f64();
        let is_behind = |age: Option<f64>| age.is_none_or(|age| age >= since);
        match places.iter().find(|place| is_behind(place.level_seconds)) {
            Some(place) => ControlFlow::Continue(format!("{place:?}")),
            None => ControlFlow::Break(Ok(())),
        }
    })
    .await
}
