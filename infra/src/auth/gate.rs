//! A layer around all routes of a contract finds out who the caller is before the request is parsed.
//!
//! The contract says whom an operation lets in: `security` of the operation, an API key's scopes being
//! roles of which the caller needs one alternative. Nothing else says it: no handler asks for a role
//! that all of its callers need. The layer resolves the caller before any extractor of a handler runs,
//! so that a caller without the right learns nothing of what a path, a query or a body must hold. The
//! extractor [`Caller`] returns the caller that the layer found.
//!
//! **Invariant:** an operation without `security` lets in operators alone.

use std::sync::Arc;

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use domain::api_key::Role;
use utoipa::openapi::{path::Operation, security::SecurityRequirement};
use utoipa_axum::router::OpenApiRouter;

use super::{Authenticator, Caller};
use crate::http::{
    docs::{API_KEY, Operations},
    headers::AtLeast,
    problem::Problem,
    rates::Ticket,
};

/// Puts the gate around the routes that are there so far.
#[must_use]
pub fn guard<S>(routes: OpenApiRouter<S>, authenticator: Authenticator) -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    let doors = Arc::new(Operations::of(routes.get_openapi(), Door::of));
    routes.route_layer(from_fn_with_state(Gate { doors, authenticator }, enter))
}

#[derive(Clone)]
struct Gate {
    doors: Arc<Operations<Door>>,
    authenticator: Authenticator,
}

/// Whom an operation lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Door {
    /// Guests are welcome.
    Open,
    /// For keys with one of these roles; any key, if there are none.
    Roles(Vec<Role>),
}

async fn enter(
    State(gate): State<Gate>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let caller = gate.authenticator.caller(&mut parts).await?;
    match gate.doors.find(path.as_ref(), &parts.method) {
        Some(door) => door.admit(&caller)?,
        // A method that is not there is answered as such, to anybody.
        None if gate.doors.has(path.as_ref()) => {}
        None => Door::closed().admit(&caller)?,
    }
    // Also where nothing waits for it, for a client that sends a position relies on it.
    let _position = AtLeast::from_headers(&parts.headers)?;
    Ok(next.run(Request::from_parts(parts, body)).await)
}

impl Authenticator {
    /// The caller of a request, resolved once.
    pub(super) async fn caller(
        &self,
        parts: &mut axum::http::request::Parts,
    ) -> Result<Caller, Problem> {
        if let Some(caller) = parts.extensions.get::<Caller>() {
            return Ok(caller.clone());
        }
        let found = self.authenticate(parts).await;
        let caller = match parts.extensions.get::<Ticket>() {
            Some(ticket) => ticket.judge(found),
            None => found,
        }?;
        parts.extensions.insert(caller.clone());
        Ok(caller)
    }
}

impl Door {
    fn of(operation: &Operation) -> Self {
        let Some(alternatives) = operation.security.as_deref().filter(|it| !it.is_empty()) else {
            return Self::closed();
        };
        // To ask for nothing may be one of the alternatives.
        let names = alternatives.iter().map(scopes).collect::<Option<Vec<_>>>();
        // A scope that is no role of ours lets in operators alone, who have all roles.
        let role = |name: &String| Role::named(name).unwrap_or(Role::Operator);
        names.map_or(Self::Open, |names| Self::Roles(names.iter().flatten().map(role).collect()))
    }

    /// For an operation without `security`: its author notices soon that all others are shut out.
    fn closed() -> Self {
        Self::Roles(vec![Role::Operator])
    }

    fn admit(&self, caller: &Caller) -> Result<(), Problem> {
        match self {
            Self::Open => Ok(()),
            Self::Roles(roles) => caller.require(roles),
        }
    }
}

/// The scopes that an alternative asks of an API key; `None` if it asks for none.
fn scopes(requirement: &SecurityRequirement) -> Option<Vec<String>> {
    // The only way to look into one.
    let requirement = serde_json::to_value(requirement).unwrap_or_default();
    serde_json::from_value(requirement.get(API_KEY)?.clone()).ok()
}
