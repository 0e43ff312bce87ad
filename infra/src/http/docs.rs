//! The contract as data, `/openapi.json` (OpenAPI 3.1), and as pages, `/docs` (Swagger UI, whose
//! assets are part of the binary).
//!
//! Routes describe themselves; what all of them share is added here: the problem that any of them
//! may answer with and the way to sign in.

#[cfg(any(test, feature = "testing"))]
mod bounds;
#[cfg(any(test, feature = "testing"))]
mod examples;
mod operations;

use axum::{
    Router,
    http::{HeaderValue, header},
    middleware::map_response,
    response::Response,
    routing::get,
};
use bytes::Bytes;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Components, ContentBuilder, InfoBuilder, OpenApi, Ref, RefOr, ResponseBuilder, Schema,
        path::{Operation, PathItem},
        schema::{SchemaType, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::{
    demand,
    problem::{Body, FieldError},
};

#[cfg(any(test, feature = "testing"))]
pub use bounds::unbounded;
#[cfg(any(test, feature = "testing"))]
pub use examples::released;
pub(crate) use operations::Operations;

/// The name of the security scheme, for `security(("api_key" = []))` on an operation.
pub const API_KEY: &str = "api_key";
const PROBLEM: &str = "Problem";
/// Pages are made of what comes from here. Swagger UI sets styles of its own, and draws with `data:`.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                           img-src 'self' data:; font-src 'self' data:; connect-src 'self'; \
                           base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What a service says about itself on top of its contract.
#[derive(Clone, Copy, Debug)]
pub struct About {
    pub title: &'static str,
    pub description: &'static str,
    pub version: &'static str,
}

/// Adds what all operations share.
#[must_use]
pub fn complete(mut api: OpenApi, about: &About) -> OpenApi {
    let About { title, description, version } = *about;
    api.info =
        InfoBuilder::new().title(title).description(Some(description)).version(version).build();
    let components = api.components.get_or_insert_with(Components::new);
    components.schemas.insert(PROBLEM.to_owned(), Body::schema());
    components.schemas.insert(FieldError::name().into_owned(), FieldError::schema());
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(PROBLEM))).build();
    let problem = ResponseBuilder::new()
        .description(
            "It did not work; `code` says why. A request that is as this contract has it is refused only \
             for what depends on who asks, on state or on time: with 401, 403, 404, 409, 412, 429 or 503, \
             with 400 for a position or cursor that was not given out here, with 413 or 414 for its size, \
             or with 422 and a code other than `invalid_field`",
        )
        .content("application/problem+json", content)
        .build();
    components.responses.insert(PROBLEM.to_owned(), problem.into());
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key: `tw_…`"))
        .build();
    components.security_schemes.insert(API_KEY.to_owned(), SecurityScheme::Http(bearer).into());
    for item in api.paths.paths.values_mut() {
        if let Some(read) = &mut item.get {
            demand::describe(read);
        }
    }
    for operation in api.paths.paths.values_mut().flat_map(operations) {
        tidy(operation);
        let problem = RefOr::Ref(Ref::from_response_name(PROBLEM));
        operation.responses.responses.entry("default".to_owned()).or_insert(problem);
    }
    api
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, options, head, patch, trace, .. } = item;
    [get, put, post, delete, options, head, patch, trace].into_iter().flatten()
}

/// What is given is there: a parameter or a whole body may be left out, but none can be `null`.
///
/// An `Option` says both to those who make a contract of it. Within a body that is so; around it, `null`
/// is a text like any other in a header, and no object in a body.
fn tidy(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && let Some(schema) = &mut parameter.schema
        {
            without_null(schema);
        }
    }
    let Some(RefOr::T(body)) = &mut operation.request_body else { return };
    for content in body.content.values_mut() {
        if let RefOr::T(content) = content
            && let Some(schema) = &mut content.schema
        {
            without_null(schema);
        }
    }
}

fn without_null(schema: &mut RefOr<Schema>) {
    let RefOr::T(plain) = schema else { return };
    match plain {
        Schema::Object(object) => not_null(&mut object.schema_type),
        Schema::Array(array) => not_null(&mut array.schema_type),
        Schema::OneOf(one_of) => {
            one_of.items.retain(|item| !is_null(item));
            if let [only] = one_of.items.as_slice() {
                *schema = only.clone();
            }
        }
        _ => {}
    }
}

fn not_null(types: &mut SchemaType) {
    if let SchemaType::Array(several) = types {
        several.retain(|kind| *kind != Type::Null);
        if let [only] = several.as_slice() {
            *types = SchemaType::Type(only.clone());
        }
    }
}

fn is_null(schema: &RefOr<Schema>) -> bool {
    matches!(schema, RefOr::T(Schema::Object(object))
        if object.schema_type == SchemaType::Type(Type::Null))
}

/// `/openapi.json` and `/docs`.
pub(super) fn routes(api: &OpenApi) -> Router {
    // A tree of strings always serialises.
    let json = Bytes::from(serde_json::to_vec(api).unwrap_or_default());
    let json = move || async move { ([(header::CONTENT_TYPE, "application/json")], json) };
    let pages = Router::from(SwaggerUi::new("/docs").config(Config::from("/openapi.json")));
    let policy = async |mut response: Response| {
        let policy = HeaderValue::from_static(PAGE_POLICY);
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        response
    };
    Router::new().route("/openapi.json", get(json)).merge(pages.layer(map_response(policy)))
}
