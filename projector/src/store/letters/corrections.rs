//! What operators decide about single events: to try them again, to read another value, or to skip
//! them.
//!
//! All code that folds events for a projection reads each of them through [`Corrections::apply`]: the
//! batches, the retry of a dead letter, a rebuild, a verification. So all of them make the same rows.
//! Corrections belong to a projection, not to one of its versions; a version may have been built
//! without those that were made before it.
//!
//! **Invariant:** an event that no operator has touched is seen as it stands in the log.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use domain::{
    id::{EventId, StreamId},
    shard::ShardId,
};
use rustc_hash::FxHashMap;
use serde_json::Value;
use sqlx::PgExecutor;
use uuid::Uuid;

use super::book::DeadLetterState;
use crate::{
    event::{CorrectedEvent, RecordedEvent, decode},
    rows::shard_column,
};

/// What an operator wants done.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    pub act: Act,
    pub reason: Option<String>,
    pub actor: Arc<str>,
}

#[derive(Clone, Debug)]
pub(crate) enum Act {
    Retry,
    /// With other data for the event.
    Edit(Value),
    Skip,
}

/// The corrections of one projection in one shard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Corrections {
    /// None for an event that is skipped.
    by_event: FxHashMap<EventId, Option<Edited>>,
    /// Revisions of the events that are skipped.
    skipped: FxHashMap<StreamId, BTreeSet<i64>>,
}

/// The data that are read instead of an event's, and what they stand for, or why this release cannot read
/// them.
type Edited = Box<(Bytes, Result<domain::Event, Arc<str>>)>;

/// A correction as it is stored.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Row {
    pub event_id: Uuid,
    pub stream: String,
    pub revision: i64,
    pub event_type: String,
    /// Absent for an event that is skipped.
    pub value: Option<Vec<u8>>,
}

impl Corrections {
    /// Those that a version of the projection reads by.
    pub(crate) async fn load(
        database: impl PgExecutor<'_>,
        projection: &str,
        version: i32,
        shard: ShardId,
    ) -> Result<Self, sqlx::Error> {
        let rows = sqlx::query_as(
            "SELECT event_id, stream, revision, event_type, value FROM projection.corrections
             WHERE projection = $1 AND shard = $3 AND corrected_at > coalesce(
                (SELECT corrections_since FROM projection.versions
                 WHERE projection = $1 AND version = $2), '-infinity')",
        );
        let rows = rows.bind(projection).bind(version).bind(shard_column(shard));
        Self::of(rows.fetch_all(database).await?)
    }

    fn of(rows: Vec<Row>) -> Result<Self, sqlx::Error> {
        let mut corrections = Self::default();
        for Row { event_id, stream, revision, event_type, value } in rows {
            let stream = stored_stream(&stream)?;
            let event_type = event_type.into();
            let edited = value.map(|value| {
                let decoded = decode(&event_type, &stream, &value);
                Box::new((value.into(), decoded))
            });
            if edited.is_none() {
                corrections.skipped.entry(stream).or_default().insert(revision);
            }
            corrections.by_event.insert(EventId::new(event_id), edited);
        }
        Ok(corrections)
    }

    /// The event as the projection is to read it; none if it is skipped.
    #[must_use]
    pub(crate) fn apply<'f>(&'f self, event: &'f RecordedEvent) -> Option<CorrectedEvent<'f>> {
        let untouched = event.as_recorded();
        if self.by_event.is_empty() {
            return Some(untouched);
        }
        let (value, decoded) = match self.by_event.get(&event.id) {
            Some(None) => return None,
            Some(Some(edited)) => (&edited.0, &edited.1),
            None => (&event.value, &event.decoded),
        };
        let skipped = self.skipped.get(&event.stream);
        let after_skipped = skipped.is_some_and(|skipped| {
            event.revision.checked_sub(1).is_some_and(|before| skipped.contains(&before))
        });
        Some(CorrectedEvent { value, decoded, after_skipped, ..untouched })
    }
}

impl Act {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Edit(_) => "edit",
            Self::Skip => "skip",
        }
    }

    /// What the letter becomes by it.
    pub(crate) const fn state(&self) -> DeadLetterState {
        match self {
            Self::Retry => DeadLetterState::Retried,
            Self::Edit(_) => DeadLetterState::Edited,
            Self::Skip => DeadLetterState::Skipped,
        }
    }

    pub(crate) const fn data(&self) -> Option<&Value> {
        match self {
            Self::Edit(data) => Some(data),
            Self::Retry | Self::Skip => None,
        }
    }
}

/// The stream that a column names.
pub(crate) fn stored_stream(text: &str) -> Result<StreamId, sqlx::Error> {
    text.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(stream: &str, revision: i64, value: &'static str) -> RecordedEvent {
        RecordedEvent::sample(stream, revision, "received", value)
    }

    fn correction(event: &RecordedEvent, value: Option<&str>) -> Row {
        Row {
            event_id: event.id.uuid(),
            stream: event.stream.as_str().to_owned(),
            revision: event.revision,
            event_type: event.event_type.to_string(),
            value: value.map(Into::into),
        }
    }

    #[test]
    fn an_edited_event_is_seen_with_its_new_value_and_without_corrections_all_as_they_are() {
        let bad = event("stock/A", 1, r#"{"quantity": "many"}"#);
        assert!(bad.decoded.is_err());
        let corrections = Corrections::of(vec![correction(&bad, Some(r#"{"quantity": 7}"#))]);
        let corrections = corrections.unwrap();
        let good = event("stock/A", 1, r#"{"quantity": 7}"#);
        let corrected = corrections.apply(&bad).unwrap();
        assert_eq!(corrected.decoded.as_ref().unwrap(), good.decoded.as_ref().unwrap());
        assert_eq!(corrected.entry(0).data, good.value);
        assert!(!corrected.after_skipped);
        let untouched = Corrections::default();
        let untouched = untouched.apply(&good).unwrap();
        assert!(std::ptr::eq(untouched.decoded, &raw const good.decoded));
    }

    #[test]
    fn what_follows_a_skipped_event_may_leave_a_gap_and_others_may_not() {
        let events = [1, 2, 3].map(|revision| event("stock/A", revision, "{}"));
        let other = event("stock/B", 3, "{}");
        let corrections = Corrections::of(vec![correction(&events[1], None)]).unwrap();
        let after_skipped = |event| corrections.apply(event).map(|it| it.after_skipped);
        assert_eq!(after_skipped(&events[0]), Some(false));
        assert_eq!(after_skipped(&events[1]), None);
        assert_eq!(after_skipped(&events[2]), Some(true));
        assert_eq!(after_skipped(&other), Some(false));
    }
}
