//! What payment providers tell us by themselves, signed as Standard Webhooks has it.
//!
//! The id of a webhook is its idempotency key: a provider that sends it again gets the same
//! answer, and nothing happens twice.
//!
//! A provider says more from one day to the next. So members that we do not know are left out before
//! anything is looked at, and a webhook of a type that we do not know is taken note of. What we do know
//! is as strict as any body: a payment's word that cannot be used is no success.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use domain::{
    id::PaymentId,
    payment::{self, Payment},
};
use infra::{
    http::{
        extract::{Path, Payload, read_body},
        fields::{Fields, Validate},
        problem::Problem,
        shapes,
        trace::RequestContext,
    },
    telemetry::emit,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{Accepted, Reply},
    incoming::Origin,
    shapes::{Short, ShortOrBlank},
    state::AppState,
};
use crate::{engine::Outcome, metrics::WebhookIgnored, payment::SignatureError};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(payment_webhook))
}

/// How a payment went on that needed the buyer.
#[derive(ToSchema)]
#[serde(tag = "type", content = "data")]
#[expect(dead_code, reason = "it documents what `command` reads")]
enum PaymentWebhook {
    #[serde(rename = "payment.authorised")]
    Authorised(Authorised),
    #[serde(rename = "payment.declined")]
    Declined(Declined),
}

#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = PaymentAuthorised)]
struct Authorised {
    #[schema(value_type = Uuid)]
    payment_id: PaymentId,
    reference: Short,
}

#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = PaymentDeclined)]
struct Declined {
    #[schema(value_type = Uuid)]
    payment_id: PaymentId,
    code: Short,
    detail: ShortOrBlank,
}

/// What any webhook tells of itself.
#[derive(Serialize, Deserialize)]
struct Envelope {
    #[serde(rename = "type")]
    kind: Short,
}

/// A webhook whose type is known. Read apart from the type, which may come behind it.
#[derive(Serialize, Deserialize)]
struct Known<D> {
    data: D,
}

impl Validate for Envelope {
    fn validate(&self, fields: &mut Fields) {
        fields.value("/type", &self.kind);
    }
}

impl Validate for Known<Authorised> {
    fn validate(&self, fields: &mut Fields) {
        fields.value("/data/reference", &self.data.reference);
    }
}

impl Validate for Known<Declined> {
    fn validate(&self, fields: &mut Fields) {
        fields.value("/data/code", &self.data.code);
        fields.value("/data/detail", &self.data.detail);
    }
}

/// What a webhook asks for. `None`: it is of a type that means nothing here.
fn command(provider: &str, body: &Bytes) -> Result<Option<(PaymentId, payment::Command)>, Problem> {
    let Envelope { kind } = Payload::parse_known(body.clone())?.value;
    let (payment_id, command) = match &*kind {
        "payment.authorised" => {
            let Known { data: Authorised { payment_id, reference } } =
                Payload::parse_known(body.clone())?.value;
            let reference = reference.into_string();
            (payment_id, payment::Command::RecordAuthorisation { reference })
        }
        "payment.declined" => {
            let Known { data: Declined { payment_id, code, detail } } =
                Payload::parse_known(body.clone())?.value;
            let (code, detail) = (code.into_string(), detail.into_string());
            (payment_id, payment::Command::RecordDecline { code, detail })
        }
        kind => {
            emit(WebhookIgnored { provider, kind });
            return Ok(None);
        }
    };
    Ok(Some((payment_id, command)))
}

/// Take a payment provider's webhook
#[utoipa::path(
    post, path = "/v1/webhooks/payments/{provider}", operation_id = "take_payment_webhook",
    tag = "webhooks",
    params(
        ("provider" = inline(shapes::PartName), Path, example = "sandbox"),
        ("webhook-id" = String, Header),
        ("webhook-timestamp" = i64, Header, description = "Unix time in seconds, ±5 minutes"),
        ("webhook-signature" = String, Header, description = "`v1,<base64>`, several with spaces"),
    ),
    request_body = PaymentWebhook,
    responses(
        (status = 200, description = "Taken note of", body = Accepted),
        (status = 204, description = "Of a type that means nothing here"),
    ),
)]
async fn payment_webhook(
    State(app): State<AppState>,
    Path(provider): Path<String>,
    request: RequestContext,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    if provider != app.desk.name() {
        return Err(Problem::not_found("there is no such payment provider"));
    }
    let bytes = read_body(&headers, body).await?;
    let id = verify(&app, &headers, &bytes)?;
    let Some((payment_id, command)) = command(&provider, &bytes)? else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let origin = Origin::webhook(&provider, id, &bytes, request);
    let gives_money = matches!(command, payment::Command::RecordAuthorisation { .. });
    let answer = origin.submit::<Payment>(&app, &payment_id, command).await?;
    if gives_money && let Outcome::Rejected { .. } = answer.outcome {
        give_back(&app, payment_id).await?;
    }
    Ok(Reply::of(&payment_id.stream(), &answer)?.into_response())
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
    let payment = app.read::<Payment>(&payment_id).await?.state;
    let is_over = matches!(
        payment.status,
        payment::Status::Declined | payment::Status::Expired | payment::Status::Voided
    );
    if !is_over {
        return Ok(());
    }
    app.desk.void(payment_id).await.map_err(|error| {
        Problem::unavailable("provider_unavailable", "the provider is away; send it again")
            .caused_by(error)
    })
}
