//! Who asks is known before what is asked is parsed: a layer around all routes of a contract.
//!
//! The contract says whom an operation lets in: `security` of the operation, an API key's scopes being
//! roles of which the caller needs one alternative. The layer resolves the caller before any extractor
//! of a handler runs, so that nobody learns what a path, a query or a body must hold who may not come
//! in. [`Caller`] as an extractor is who the layer found.

use std::sync::Arc;

use axum::{
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use domain::api_key::Role;
use rustc_hash::FxHashMap;
use utoipa::openapi::{
    OpenApi,
    path::{Operation, PathItem},
    security::SecurityRequirement,
};
use utoipa_axum::router::OpenApiRouter;

use super::{Authenticator, Caller, role_from_name};
use crate::http::{docs::API_KEY, headers::AtLeast, problem::Problem, rates::Ticket};

/// Puts the gate around the routes that are there so far.
#[must_use]
pub fn guard<S>(routes: OpenApiRouter<S>, authenticator: Authenticator) -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    let doors = Arc::new(Doors::of(routes.get_openapi()));
    routes.route_layer(from_fn_with_state(Gate { doors, authenticator }, enter))
}

#[derive(Clone)]
struct Gate {
    doors: Arc<Doors>,
    authenticator: Authenticator,
}

/// Whom each operation lets in, by path and method.
struct Doors(FxHashMap<String, Vec<(Method, Door)>>);

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
    let path = path.as_ref().map_or("", MatchedPath::as_str);
    gate.doors.door(path, &parts.method).admit(&caller)?;
    // Also where nothing waits for it: whoever sends one relies on it.
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

impl Doors {
    fn of(contract: &OpenApi) -> Self {
        let doors = contract.paths.paths.iter();
        Self(doors.map(|(path, item)| (path.clone(), doors_of(item))).collect())
    }

    fn door(&self, path: &str, method: &Method) -> &Door {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        let doors = self.0.get(path).map(Vec::as_slice).unwrap_or_default();
        // A method that is not there is answered as such, to anybody.
        doors.iter().find(|(of, _)| of == method).map_or(&Door::Open, |(_, door)| door)
    }
}

impl Door {
    fn of(operation: &Operation) -> Self {
        let alternatives = operation.security.as_deref().unwrap_or_default();
        let alternatives: Option<Vec<Vec<String>>> = alternatives.iter().map(scopes).collect();
        let names = match alternatives {
            // Nothing is asked for, or nothing is one of the alternatives.
            None => return Self::Open,
            Some(alternatives) if alternatives.is_empty() => return Self::Open,
            Some(alternatives) => alternatives.concat(),
        };
        // What is no role of ours lets in whoever has them all.
        let role = |name: &String| role_from_name(name).unwrap_or(Role::Operator);
        Self::Roles(names.iter().map(role).collect())
    }

    fn admit(&self, caller: &Caller) -> Result<(), Problem> {
        match self {
            Self::Open => Ok(()),
            Self::Roles(roles) => caller.require_any(roles),
        }
    }
}

fn doors_of(item: &PathItem) -> Vec<(Method, Door)> {
    let operations = [
        (Method::GET, &item.get),
        (Method::PUT, &item.put),
        (Method::POST, &item.post),
        (Method::DELETE, &item.delete),
        (Method::PATCH, &item.patch),
        (Method::OPTIONS, &item.options),
    ];
    let of = |(method, operation): (Method, &Option<Operation>)| {
        operation.as_ref().map(|operation| (method, Door::of(operation)))
    };
    operations.into_iter().filter_map(of).collect()
}

/// The scopes that an alternative asks of an API key; `None` if it asks for none.
fn scopes(requirement: &SecurityRequirement) -> Option<Vec<String>> {
    // The only way to look into one.
    let requirement = serde_json::to_value(requirement).unwrap_or_default();
    serde_json::from_value(requirement.get(API_KEY)?.clone()).ok()
}
