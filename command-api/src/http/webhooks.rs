//! What payment providers tell us by themselves, signed as Standard Webhooks has it.
//!
//! The id of a webhook is its idempotency key: a provider that sends it again gets the same
//! answer, and nothing happens twice.
//!
//! A provider says more from one day to the next. So members that we do not know are left out before
//! anything is looked at, and a webhook of a type that we do not know is taken note of. What we do know
//! is as strict as any body: a payment's word that cannot be used is no success.

use std::convert::Infallible;

use axum::{
    body::Body,
    extract::{FromRequestParts, State},
    http::{HeaderMap, StatusCode, request::Parts},
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
use utoipa::{IntoParams, ToSchema};
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

infra::validates!(Authorised: reference);
infra::validates!(Declined: code, detail);

impl<D: Validate> Validate for Known<D> {
    fn validate(&self, fields: &mut Fields) {
        fields.within("/data", &self.data);
    }
}

impl PaymentWebhook {
    /// `None`: it is of a type that means nothing here.
    fn read(provider: &str, body: &Bytes) -> Result<Option<Self>, Problem> {
        let Envelope { kind } = Payload::parse_known(body.clone())?.value;
        match &*kind {
            "payment.authorised" => {
                let known: Payload<Known<_>> = Payload::parse_known(body.clone())?;
                Ok(Some(Self::Authorised(known.value.data)))
            }
            "payment.declined" => {
                let known: Payload<Known<_>> = Payload::parse_known(body.clone())?;
                Ok(Some(Self::Declined(known.value.data)))
            }
            kind => {
                emit(WebhookIgnored { provider, kind });
                Ok(None)
            }
        }
    }

    /// What it asks for, and of which payment.
    fn into_command(self) -> (PaymentId, payment::Command) {
        match self {
            Self::Authorised(Authorised { payment_id, reference }) => {
                let reference = reference.into_string();
                (payment_id, payment::Command::RecordAuthorisation { reference })
            }
            Self::Declined(Declined { payment_id, code, detail }) => {
                let (code, detail) = (code.into_string(), detail.into_string());
                (payment_id, payment::Command::RecordDecline { code, detail })
            }
        }
    }
}

/// Who sends it.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct Provider {
    #[param(inline, value_type = shapes::PartName, example = "sandbox")]
    provider: String,
}

/// What proves that a webhook is its provider's, as it was sent; empty where it was not.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
struct Signature {
    #[param(rename = "webhook-id")]
    id: String,
    /// Unix time in seconds, ±5 minutes
    #[param(rename = "webhook-timestamp", value_type = i64)]
    timestamp: String,
    /// `v1,<base64>`, several with spaces
    #[param(rename = "webhook-signature")]
    signatures: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Signature {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let text = |name| {
            let text = parts.headers.get(name).and_then(|value| value.to_str().ok());
            text.unwrap_or_default().to_owned()
        };
        let [id, timestamp, signatures] =
            ["webhook-id", "webhook-timestamp", "webhook-signature"].map(text);
        Ok(Self { id, timestamp, signatures })
    }
}

impl Signature {
    fn verify(&self, app: &AppState, body: &[u8]) -> Result<(), Problem> {
        let Self { id, timestamp, signatures } = self;
        let secret = app.webhook_secret.as_ref();
        let verified = secret
            .ok_or(SignatureError::Mismatch)
            .and_then(|secret| secret.verify(id, timestamp, signatures, body, app.clock.now()));
        verified.map_err(|error| {
            let detail = error.to_string();
            Problem::rejected(StatusCode::UNAUTHORIZED, "invalid_signature", detail)
        })
    }
}

/// Take a payment provider's webhook
#[utoipa::path(
    post, path = "/v1/webhooks/payments/{provider}", operation_id = "take_payment_webhook",
    tag = "webhooks",
    params(Provider, Signature),
    request_body = PaymentWebhook,
    responses(
        (status = 200, description = "Taken note of", body = Accepted),
        (status = 204, description = "Of a type that means nothing here"),
    ),
)]
async fn payment_webhook(
    State(app): State<AppState>,
    Path(Provider { provider }): Path<Provider>,
    signature: Signature,
    request: RequestContext,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    if provider != app.desk.name() {
        return Err(Problem::not_found("there is no such payment provider"));
    }
    let bytes = read_body(&headers, body).await?;
    signature.verify(&app, &bytes)?;
    let Some(webhook) = PaymentWebhook::read(&provider, &bytes)? else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let (payment_id, command) = webhook.into_command();
    let origin = Origin::webhook(&provider, &signature.id, &bytes, request);
    let gives_money = matches!(command, payment::Command::RecordAuthorisation { .. });
    let answer = origin.submit::<Payment>(&app, &payment_id, command).await?;
    if gives_money && let Outcome::Rejected { .. } = answer.outcome {
        give_back(&app, payment_id).await?;
    }
    Ok(Reply::of(&payment_id.stream(), &answer)?.into_response())
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
