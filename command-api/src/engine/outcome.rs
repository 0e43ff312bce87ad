//! What a command led to, and how barriers store it.

use std::sync::Arc;

use domain::{
    Rejection,
    aggregate::{Refusal, RejectionKind},
    envelope::Revision,
    id::{CommandId, EventId, StreamId},
};
use infra::log::record::{EventRecord, OutcomeRecord, RequestHash};
use serde::{Deserialize, Serialize};

use super::Precondition;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    Committed {
        stream: StreamId,
        /// Of the stream after the last of `events`.
        revision: Revision,
        events: Vec<EventRef>,
    },
    /// Accepted, but it was so already: nothing to record.
    Unchanged { revision: Revision },
    /// A business no. `status` is that of the HTTP answer.
    Rejected { status: u16, code: String, detail: String },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRef {
    pub id: EventId,
    pub event_type: Arc<str>,
}

impl Outcome {
    /// Of the stream that it was decided on, as far as it tells.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        match self {
            Self::Committed { revision, .. } | Self::Unchanged { revision } => *revision,
            Self::Rejected { .. } => 0,
        }
    }

    pub(super) fn committed(events: &[EventRecord]) -> Option<Self> {
        let last = events.last()?;
        let events = events
            .iter()
            .map(|event| EventRef { id: event.id, event_type: Arc::clone(&event.event_type) })
            .collect();
        Some(Self::Committed { stream: last.stream.clone(), revision: last.revision, events })
    }

    pub(super) fn rejected(rejection: &Rejection) -> Self {
        let status = match rejection.kind() {
            RejectionKind::Conflict => 409,
            RejectionKind::Rule => 422,
            RejectionKind::NotFound => 404,
        };
        Self::Rejected { status, code: rejection.code().to_owned(), detail: rejection.to_string() }
    }

    /// A bug, found in time: what was decided cannot be recorded so that anybody could read it.
    pub(super) fn not_readable() -> Self {
        let detail = "what this would record could not be read back; nothing has happened";
        Self::Rejected { status: 422, code: "not_recordable".to_owned(), detail: detail.to_owned() }
    }

    pub(super) fn revision_mismatch(precondition: &Precondition, actual: Revision) -> Self {
        let detail =
            format!("{precondition}, the stream is at {actual}: read it again and decide anew");
        Self::Rejected { status: 412, code: "revision_mismatch".to_owned(), detail }
    }

    /// The form that a barrier stores. Commits tell their outcome themselves.
    pub(super) fn to_record(
        &self,
        command_id: CommandId,
        request_hash: RequestHash,
    ) -> Option<OutcomeRecord> {
        let (status, body) = match self {
            Self::Committed { .. } => return None,
            Self::Unchanged { revision } => (200, Body::Unchanged { revision: *revision }),
            Self::Rejected { status, code, detail } => {
                (*status, Body::Rejected { code: code.clone(), detail: detail.clone() })
            }
        };
        let body = serde_json::to_value(body).unwrap_or_default();
        Some(OutcomeRecord { command_id, request_hash, status, body })
    }

    /// `None` if the body is not one that this release writes.
    pub(super) fn from_record(record: &OutcomeRecord) -> Option<Self> {
        let body: Body = serde_json::from_value(record.body.clone()).ok()?;
        Some(match body {
            Body::Unchanged { revision } => Self::Unchanged { revision },
            Body::Rejected { code, detail } => {
                Self::Rejected { status: record.status, code, detail }
            }
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Body {
    Rejected { code: String, detail: String },
    Unchanged { revision: Revision },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_barrier_gives_back_the_outcome_that_it_stored() {
        let command_id = CommandId::new(uuid::Uuid::nil());
        let hash = RequestHash::of(&[b"x"]);
        for outcome in
            [Outcome::Unchanged { revision: 7 }, Outcome::revision_mismatch(&Some(1).into(), 2)]
        {
            let record = outcome.to_record(command_id, hash).unwrap();
            assert_eq!(Outcome::from_record(&record), Some(outcome));
        }
    }
}
