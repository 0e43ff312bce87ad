//! What a read demands of what it is shown: `If-Match` (RFC 9110, 13.1.1), for all reads alike.
//!
//! A command's is the engine's affair, which decides with the state at hand. A read has no effect that
//! could be prevented, so what it shows is made first and then compared.

use axum::{
    extract::Request,
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use utoipa::{
    PartialSchema,
    openapi::{
        RefOr, Required,
        path::{Operation, ParameterBuilder, ParameterIn},
    },
};

use super::{
    etag,
    headers::{Conditions, Tags},
    problem::Problem,
};

/// Of a read that has one.
pub(super) struct Demand(Result<Tags, Problem>);

/// Adds the header to the contract of a read whose answers have a tag.
pub(super) fn describe(read: &mut Operation) {
    let has_tag =
        read.responses.responses.values().any(
            |answer| matches!(answer, RefOr::T(answer) if answer.headers.contains_key("ETag")),
        );
    if has_tag {
        let detail =
            "As an `ETag` gave it, one or several, or `*`: 412 if it is another one by now.";
        let header = ParameterBuilder::new().name("If-Match").parameter_in(ParameterIn::Header);
        let header = header.required(Required::False).description(Some(detail));
        let header = header.schema(Some(Tags::schema())).build();
        read.parameters.get_or_insert_default().push(header.into());
    }
}

impl Demand {
    pub(super) fn of(request: &Request) -> Option<Self> {
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        if !is_read || !request.headers().contains_key(header::IF_MATCH) {
            return None;
        }
        Conditions::if_match(request.headers()).transpose().map(Self)
    }

    /// The answer, or why it is not what was asked for. It is compared before `If-None-Match`, so that
    /// what would not be repeated is as good as shown. A refusal stays one.
    pub(super) fn met_by(self, answer: Response) -> Response {
        let status = answer.status();
        if !status.is_success() && status != StatusCode::NOT_MODIFIED {
            return answer;
        }
        match self.0 {
            Ok(tags) if is_shown(&tags, answer.headers()) => answer,
            Ok(_) => {
                let problem = Problem::precondition_failed("If-Match names other revisions");
                match answer.headers().get(header::ETAG).cloned() {
                    Some(tag) => problem.header(header::ETAG, tag).into_response(),
                    None => problem.into_response(),
                }
            }
            Err(malformed) => malformed.into_response(),
        }
    }
}

fn is_shown(tags: &Tags, shown: &HeaderMap) -> bool {
    let shown = shown.get(header::ETAG).and_then(|tag| etag::parse(tag.to_str().ok()?));
    match tags {
        Tags::Any => true,
        Tags::These(tags) => shown.is_some_and(|shown| tags.contains(&shown)),
    }
}
