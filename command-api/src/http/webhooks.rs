//! What payment providers tell us by themselves, signed as Standard Webhooks has it.
//!
//! The id of a webhook is its idempotency key: a provider that sends it again gets the same
//! answer, and nothing happens twice.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use domain::{Command, State as Aggregate, id::PaymentId, payment};
use infra::http::{
    extract::{Path, Payload, read_body},
    fields::{Fields, Validate},
    problem::Problem,
    trace::RequestContext,
};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    answer::{Accepted, Reply},
    incoming::Origin,
    shapes::SHORT_CHARS_MAX,
    state::AppState,
};
use crate::{engine::Outcome, payment::SignatureError};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(payment_webhook))
}

/// How a payment went on that needed the buyer.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "type", content = "data", deny_unknown_fields)]
enum PaymentWebhook {
    #[serde(rename = "payment.authorised")]
    Authorised { payment_id: Uuid, reference: String },
    #[serde(rename = "payment.declined")]
    Declined { payment_id: Uuid, code: String, detail: String },
}

impl Validate for PaymentWebhook {
    fn validate(&self, fields: &mut Fields) {
        match self {
            Self::Authorised { reference, .. } => {
                fields.text("/data/reference", reference, SHORT_CHARS_MAX);
            }
            Self::Declined { code, detail, .. } => {
                fields.text("/data/code", code, SHORT_CHARS_MAX);
                fields.text_or_empty("/data/detail", detail, SHORT_CHARS_MAX);
            }
        }
    }
}

impl PaymentWebhook {
    fn into_command(self) -> (PaymentId, payment::Command) {
        match self {
            Self::Authorised { payment_id, reference } => {
                let command = payment::Command::RecordAuthorisation { reference };
                (PaymentId::new(payment_id), command)
            }
            Self::Declined { payment_id, code, detail } => {
                (PaymentId::new(payment_id), payment::Command::RecordDecline { code, detail })
            }
        }
    }
}

/// Take a payment provider's webhook
#[utoipa::path(
    post, path = "/v1/webhooks/payments/{provider}", operation_id = "take_payment_webhook",
    tag = "webhooks",
    params(
        ("provider" = String, Path, example = "sandbox"),
        ("webhook-id" = String, Header),
        ("webhook-timestamp" = i64, Header, description = "Unix time in seconds, ±5 minutes"),
        ("webhook-signature" = String, Header, description = "`v1,<base64>`, several with spaces"),
    ),
    request_body = PaymentWebhook,
    responses((status = 200, description = "Taken note of", body = Accepted)),
)]
async fn payment_webhook(
    State(app): State<AppState>,
    Path(provider): Path<String>,
    request: RequestContext,
    headers: HeaderMap,
    body: Body,
) -> Result<Reply, Problem> {
    if provider != app.desk.name() {
        return Err(Problem::not_found("there is no such payment provider"));
    }
    let bytes = read_body(&headers, body).await?;
    let id = verify(&app, &headers, &bytes)?;
    let origin = Origin::webhook(&app, &provider, id, &bytes, request)?;
    let (payment_id, command) = Payload::<PaymentWebhook>::parse(bytes)?.value.into_command();
    let gives_money = matches!(command, payment::Command::RecordAuthorisation { .. });
    let stream = payment_id.stream();
    let answer = origin.submit(&app, stream.clone(), Command::Payment(command)).await?;
    if gives_money && let Outcome::Rejected { .. } = answer.outcome {
        give_back(&app, payment_id).await?;
    }
    Reply::of(&stream, &answer)
}

/// The webhook's id, if the webhook is to be believed.
fn verify<'a>(app: &AppState, headers: &'a HeaderMap, body: &[u8]) -> Result<&'a str, Problem> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let id = header("webhook-id");
    let (timestamp, signatures) = (header("webhook-timestamp"), header("webhook-signature"));
    let secret = app.webhook_secret.as_ref().ok_or_else(|| refusal(&SignatureError::Mismatch))?;
    secret
        .verify(id, timestamp, signatures, body, app.clock.now())
        .map_err(|error| refusal(&error))?;
    Ok(id)
}

fn refusal(error: &SignatureError) -> Problem {
    Problem::rejected(StatusCode::UNAUTHORIZED, "invalid_signature", error.to_string())
}

/// Gives money back that came for a payment that is over.
async fn give_back(app: &AppState, payment_id: PaymentId) -> Result<(), Problem> {
    let snapshot = app.read(&payment_id.stream()).await?;
    let is_over = matches!(
        &snapshot.state,
        Aggregate::Payment(payment) if matches!(
            payment.status,
            payment::Status::Declined | payment::Status::Expired | payment::Status::Voided
        )
    );
    if !is_over {
        return Ok(());
    }
    app.desk.void(payment_id).await.map_err(|error| {
        Problem::unavailable("provider_unavailable", "the provider is away; send it again")
            .caused_by(error)
    })
}
