//! What a client can read and what we can: `Accept` of the answer, `Content-Encoding` of the request.
//!
//! Both are settled before a handler is called, so that nothing happens whose answer nobody can read.
//! What a route answers with stands in its contract, and nowhere else.

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderValue, header},
};
use utoipa::openapi::{OpenApi, RefOr, path::Operation};

use super::{
    docs::Operations,
    problem::Problem,
    syntax::{list, parameter, split},
};

/// The media types of each operation's answers.
#[derive(Debug, Default)]
pub(super) struct Produced(Operations<Vec<String>>);

impl Produced {
    pub(super) fn of(contract: &OpenApi) -> Self {
        Self(Operations::of(contract, media_types))
    }

    /// # Errors
    /// 406, 415: there is no use in going on.
    pub(super) fn check(&self, request: &Request) -> Result<(), Problem> {
        let headers = request.headers();
        if list(headers, &header::CONTENT_ENCODING)
            .any(|coding| !coding.eq_ignore_ascii_case("identity"))
        {
            let plain = HeaderValue::from_static("identity");
            return Err(Problem::unsupported_encoding().header(header::ACCEPT_ENCODING, plain));
        }
        match headers.get(header::ACCEPT) {
            None => return Ok(()),
            Some(any) if any == "*/*" => return Ok(()),
            Some(_) => {}
        }
        match self.0.find(request.extensions().get::<MatchedPath>(), request.method()) {
            Some(produced) if !produced.is_empty() && !accepts(headers, produced) => {
                Err(Problem::not_acceptable(produced))
            }
            // There is nothing to read in the answer, or no such operation.
            _ => Ok(()),
        }
    }
}

fn media_types(operation: &Operation) -> Vec<String> {
    let answers = operation.responses.responses.iter();
    let good = answers.filter(|(status, _)| status.starts_with('2'));
    let types = good.flat_map(|(_, answer)| match answer {
        RefOr::T(answer) => answer.content.keys().cloned().collect(),
        RefOr::Ref(_) => Vec::new(),
    });
    types.collect()
}

/// RFC 9110, 12.5.1: of the ranges that a type is in, the narrowest one says whether it is wanted.
fn accepts(headers: &HeaderMap, produced: &[String]) -> bool {
    let ranges: Vec<(&str, f32)> = list(headers, &header::ACCEPT).map(range).collect();
    let wanted = |media_type: &String| {
        let breadth = |range: &str| match range.split_once('/') {
            Some(("*", "*")) => Some(2),
            Some((kind, "*")) => {
                let mine = media_type.split('/').next().unwrap_or_default();
                kind.eq_ignore_ascii_case(mine).then_some(1)
            }
            _ => range.eq_ignore_ascii_case(media_type).then_some(0),
        };
        let fitting = ranges.iter().filter_map(|(range, q)| Some((breadth(range)?, *q)));
        fitting.min_by_key(|(breadth, _)| *breadth).is_some_and(|(_, q)| q > 0.0)
    };
    // A header without a range says nothing.
    ranges.is_empty() || produced.iter().any(wanted)
}

/// A media range and its weight. Parameters of types make no difference to ours, which have none.
fn range(element: &str) -> (&str, f32) {
    let mut parts = split(element, b';');
    let range = parts.next().unwrap_or_default();
    let weight = parts.filter_map(parameter).find(|(name, _)| name.eq_ignore_ascii_case("q"));
    (range, weight.and_then(|(_, q)| q.parse().ok()).unwrap_or(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: &str, expected: bool) {
        let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]);
        assert_eq!(accepts(&headers, &["application/json".to_owned()]), expected, "{accept}");
    }

    #[test]
    fn a_type_is_wanted_if_its_narrowest_range_says_so() {
        check("application/json", true);
        check("APPLICATION/*", true);
        check("text/html, */*;q=0.1", true);
        check("text/html", false);
        check("application/json;q=0", false);
        check("application/json;q=0.0, */*", false);
        check("*/*;q=0, application/json", true);
        check("application/*;q=0, */*", false);
        check("application/json; charset=utf-8; q=0.5", true);
        check("application/problem+json", false);
        check("text/plain;x=\",application/json\"", false);
        check("", true);
    }
}
