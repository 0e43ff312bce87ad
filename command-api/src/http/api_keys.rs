//! API keys for machines.

use std::collections::BTreeSet;

use axum::{extract::State, response::Response};
use domain::{
    api_key::{self, ApiKeyId, Role},
    timestamp::Timestamp,
};
use infra::{
    auth::ApiKey,
    http::{bounded::Bounded, extract::Id, problem::Problem, shapes},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{Accepted, Reply},
    incoming::Incoming,
    shapes::{Empty, Short},
    state::AppState,
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(issue)).routes(routes!(revoke))
}

/// There are no more roles than these.
const ROLES_MAX: usize = 4;
type RoleNames = Bounded<shapes::Role, ROLES_MAX, 1>;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewKey {
    /// Who uses it.
    name: Short,
    /// Of `customer`, `staff`, `analyst` and `operator`; at least one.
    #[schema(value_type = RoleNames, example = json!(["staff"]))]
    roles: Bounded<Role, ROLES_MAX, 1>,
    /// Never, if it is left out. Of the years 1 to 9999 in UTC, cut to microseconds.
    #[schema(value_type = Option<shapes::Instant>)]
    expires_at: Option<Timestamp>,
}

infra::validates!(NewKey: name);

#[derive(Serialize, ToSchema)]
struct Issued {
    #[serde(flatten)]
    accepted: Accepted,
    /// The key itself, shown this once: a replay has none.
    #[schema(value_type = Option<String>, example = "tw_…")]
    key: Option<String>,
    name: String,
    #[schema(value_type = Vec<shapes::Role>)]
    roles: BTreeSet<Role>,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// Issue an API key
#[utoipa::path(
    post, path = "/v1/api-keys", operation_id = "issue_api_key",
    tag = "api-keys", security(("api_key" = ["operator"])),
    params(Incoming<NewKey>), request_body = NewKey,
    responses((status = 201, description = "Issued", body = Issued)),
)]
async fn issue(
    State(app): State<AppState>,
    Incoming { origin, body }: Incoming<NewKey>,
) -> Result<Response, Problem> {
    let id = ApiKeyId::new(origin.new_id("api_key"));
    let key = ApiKey::generate(id, &app.cart_token_secret).map_err(Problem::internal)?;
    let NewKey { name, roles, expires_at } = body;
    let name = name.into_string();
    let roles: BTreeSet<Role> = roles.into_vec().into_iter().collect();
    let command = api_key::Command::Issue {
        name: name.clone(),
        roles: roles.clone(),
        hash: key.hash.to_string(),
        expires_at,
    };
    let answer = origin.submit::<api_key::ApiKey>(&app, &id, command).await?;
    let reply = Reply::of(&id.stream(), &answer)?.created(format!("/v1/api-keys/{id}"));
    let key = (!answer.replayed).then(|| key.expose().to_owned());
    Ok(reply.with(|accepted| Issued { accepted, key, name, roles, expires_at }))
}

/// Revoke an API key
///
/// It is refused at once where the position of the answer is sent, and elsewhere within five seconds.
#[utoipa::path(
    delete, path = "/v1/api-keys/{id}", operation_id = "revoke_api_key",
    tag = "api-keys", security(("api_key" = ["operator"])),
    params(Id<ApiKeyId>, Incoming<Empty>),
    responses((status = 200, description = "Revoked", body = Accepted)),
)]
async fn revoke(
    State(app): State<AppState>,
    Id(id): Id<ApiKeyId>,
    Incoming { origin, .. }: Incoming<Empty>,
) -> Result<Reply, Problem> {
    origin.reply::<api_key::ApiKey>(&app, &id, api_key::Command::Revoke).await
}
