//! Parameters of the path and the query.

use std::{borrow::Cow, collections::BTreeSet};

use axum::{
    extract::{FromRequestParts, RawPathParams, path::ErrorKind, rejection::PathRejection},
    http::request::Parts,
};
use domain::id::parse_uuid;
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned},
};
use url::form_urlencoded;
use uuid::Uuid;

use super::{document, pointer};
use crate::http::{
    fields::{Fields, Validate},
    problem::Problem,
};

/// The query string's parameters, checked.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

/// The path's parameters.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

/// A UUID in the path, of what has no id of its own kind.
#[derive(Clone, Copy, Debug)]
pub struct Id(pub Uuid);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        parse_uuid(&text).map(Self).map_err(de::Error::custom)
    }
}

impl<S, T> FromRequestParts<S> for Query<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Validate,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default().as_bytes();
        let mut fields = Fields::default();
        let mut names = BTreeSet::new();
        for (name, value) in form_urlencoded::parse(query) {
            document::check_parameter(&name, &value, &mut fields);
            if let Some(name) = names.replace(name) {
                return Err(pointer::parameter_twice(&name));
            }
        }
        let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query));
        let value: T = serde_path_to_error::deserialize(pairs)
            .map_err(|error| pointer::data_error(error.path(), &error.inner().to_string()))?;
        value.validate(&mut fields);
        fields.finish()?;
        Ok(Self(value))
    }
}

impl<S, T> FromRequestParts<S> for Path<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Send,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(path_refusal(parts, state, rejection).await),
        }
    }
}

async fn path_refusal<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    rejection: PathRejection,
) -> Problem {
    let PathRejection::FailedToDeserializePathParams(failed) = rejection else {
        return Problem::internal(rejection);
    };
    // axum names the parameter only for some types; the rest is told by its place.
    let names = match RawPathParams::from_request_parts(parts, state).await {
        Ok(names) => names.iter().map(|(name, _)| name.to_owned()).collect(),
        // What is not UTF-8 has its name in the error below.
        Err(_) => Vec::new(),
    };
    let name_at = |index: usize| names.get(index).cloned().unwrap_or_default();
    let (name, message) = match failed.into_kind() {
        ErrorKind::ParseErrorAtKey { key, expected_type, .. } => (key, expected_type.to_owned()),
        ErrorKind::ParseErrorAtIndex { index, expected_type, .. } => {
            (name_at(index), expected_type.to_owned())
        }
        ErrorKind::ParseError { expected_type, .. } => (name_at(0), expected_type.to_owned()),
        ErrorKind::DeserializeError { key, message, .. } => (key, message),
        ErrorKind::InvalidUtf8InPathParam { key } => (key, "must be text in UTF-8".to_owned()),
        ErrorKind::Message(message) => (name_at(0), message),
        other => return Problem::internal(other.to_string()),
    };
    pointer::parameter_error(&name, &message)
}
