//! What a command answers.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{
    aggregate::{Refusal, RejectionKind},
    id::StreamId,
};
use infra::{
    http::{
        etag::ETag,
        headers::{IDEMPOTENCY_REPLAYED, POSITION},
        problem::Problem,
        shapes,
    },
    position::Position,
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::engine::{Answer, EventRef, Outcome};

/// A command that was accepted.
#[derive(Serialize, ToSchema)]
pub(super) struct Accepted {
    /// Of the thing that the command went to.
    #[schema(value_type = Uuid, example = "0198c0de-0000-7000-8000-000000000001")]
    id: String,
    /// The stream that it went to.
    #[schema(example = "cart/0198c0de-0000-7000-8000-000000000001")]
    stream: String,
    /// Of the stream afterwards; also the `ETag`.
    revision: u64,
    /// What happened; nothing if it was so already.
    events: Vec<EventBody>,
    /// Send it to a query as `Tradewind-Position` and it sees this command.
    position: String,
}

macro_rules! accepted_of {
    ($($(#[$doc:meta])* $name:ident { $(#[$id_doc:meta])* id: $id:ty })+) => {$(
        $(#[$doc])*
        #[derive(ToSchema)]
        #[expect(dead_code, reason = "it documents what `Accepted` is of other things")]
        pub(super) struct $name {
            $(#[$id_doc])*
            id: $id,
            /// The stream that it went to.
            stream: String,
            /// Of the stream afterwards; also the `ETag`.
            revision: u64,
            /// What happened; nothing if it was so already.
            events: Vec<EventBody>,
            /// Send it to a query as `Tradewind-Position` and it sees this command.
            position: String,
        }
    )+};
}

accepted_of! {
    /// A command on a stock that was accepted.
    AcceptedOfStock { id: shapes::Sku }
    /// A command on a parked step that was accepted.
    AcceptedOfStep {
        /// The shard whose events the process follows.
        id: String
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = AcceptedEvent)]
struct EventBody {
    id: Uuid,
    #[serde(rename = "type")]
    #[schema(example = "tradewind.cart.created.v1")]
    kind: String,
}

/// An accepted command on its way to its response.
pub(super) struct Reply {
    accepted: Accepted,
    position: Position,
    replayed: bool,
    status: StatusCode,
    location: Option<String>,
}

impl Reply {
    /// # Errors
    /// The business no that the answer is, as a problem.
    pub(super) fn of(stream: &StreamId, answer: &Answer) -> Result<Self, Problem> {
        let (revision, events) = match &answer.outcome {
            Outcome::Committed { revision, events, .. } => {
                let kind = |event: &EventRef| EventBody {
                    id: event.id.uuid(),
                    kind: event.event_type.to_string(),
                };
                (*revision, events.iter().map(kind).collect())
            }
            Outcome::Unchanged { revision } => (*revision, vec![]),
            Outcome::Rejected { status, code, detail } => {
                return Err(rejected(answer, *status, code, detail));
            }
        };
        let accepted = Accepted {
            id: stream.key().to_owned(),
            stream: stream.to_string(),
            revision,
            events,
            position: answer.position.to_string(),
        };
        let (position, replayed) = (answer.position.clone(), answer.replayed);
        Ok(Self { accepted, position, replayed, status: StatusCode::OK, location: None })
    }

    /// Something is there now that was not before.
    pub(super) fn created(self, location: String) -> Self {
        Self { status: StatusCode::CREATED, location: Some(location), ..self }
    }

    /// The rest follows by itself; `location` will tell.
    pub(super) fn begun(self, location: String) -> Self {
        Self { status: StatusCode::ACCEPTED, location: Some(location), ..self }
    }

    /// What followed at once is seen from here on, too.
    pub(super) fn reaching(mut self, further: &Position) -> Self {
        self.position.merge(further);
        self.accepted.position = self.position.to_string();
        self
    }

    /// With fields beside those that every answer has.
    pub(super) fn with<B: Serialize>(self, body: impl FnOnce(Accepted) -> B) -> Response {
        let Self { accepted, replayed, status, location, .. } = self;
        let revision = ETag(accepted.revision);
        let position = header_value(&accepted.position);
        let body = axum::Json(body(accepted));
        let mut response = (status, revision, [(POSITION, position)], body).into_response();
        let headers = response.headers_mut();
        if let Some(location) = location {
            headers.insert(header::LOCATION, header_value(&location));
        }
        if replayed {
            headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        self.with(|accepted| accepted)
    }
}

fn rejected(answer: &Answer, status: u16, code: &str, detail: &str) -> Problem {
    // The engine stores only statuses that exist.
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::CONFLICT);
    let problem = Problem::rejected(status, code.to_owned(), detail.to_owned())
        .header(POSITION, answer.position.header_value());
    if answer.replayed {
        problem.header(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"))
    } else {
        problem
    }
}

/// The no of an aggregate, where a handler has to say it itself.
pub(super) fn rejection(rejection: &impl Refusal) -> Problem {
    let status = match rejection.kind() {
        RejectionKind::Conflict => StatusCode::CONFLICT,
        RejectionKind::Rule => StatusCode::UNPROCESSABLE_ENTITY,
        RejectionKind::NotFound => StatusCode::NOT_FOUND,
    };
    Problem::rejected(status, rejection.code(), rejection.to_string())
}

/// Ids, paths and base64 always make a header.
fn header_value(text: &str) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}
