//! Parameters of the path and the query.

use std::{borrow::Cow, collections::BTreeSet};

use axum::{
    extract::{
        FromRequestParts, Path as Inner, RawPathParams, path::ErrorKind, rejection::PathRejection,
    },
    http::request::Parts,
};
use domain::id::parse_uuid;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, IntoDeserializer, value::StrDeserializer},
};
use url::form_urlencoded;
use utoipa::{
    IntoParams,
    openapi::{
        KnownFormat, ObjectBuilder, Required, SchemaFormat,
        path::{Parameter, ParameterBuilder, ParameterIn},
        schema::Type,
    },
};

use super::{document, pointer};
use crate::http::{
    fields::{Fields, Validate},
    problem::Problem,
};

/// The query string's parameters, checked.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

/// Parameters of the path: a struct that has them by name, and says in the contract what they are.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

/// The path's `{id}`: a UUID, as the id of one kind of things.
#[derive(Clone, Copy, Debug)]
pub struct Id<T>(pub T);

#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct ById<T> {
    #[serde(deserialize_with = "written")]
    id: T,
}

impl<S, T> FromRequestParts<S> for Id<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Send,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let ById { id } = from_path(parts, state).await?;
        Ok(Self(id))
    }
}

impl<T> IntoParams for Id<T> {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let id = ParameterBuilder::new().name("id").parameter_in(ParameterIn::Path);
        let uuid = SchemaFormat::KnownFormat(KnownFormat::Uuid);
        let uuid = ObjectBuilder::new().schema_type(Type::String).format(Some(uuid));
        vec![id.required(Required::True).schema(Some(uuid)).build()]
    }
}

/// A UUID in the one form that contracts know, also where the type would take others.
fn written<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let text = Cow::<'de, str>::deserialize(deserializer)?;
    parse_uuid(&text).map_err(D::Error::custom)?;
    let text: StrDeserializer<'_, D::Error> = (*text).into_deserializer();
    T::deserialize(text)
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
    T: DeserializeOwned + IntoParams + Send,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        from_path(parts, state).await.map(Self)
    }
}

async fn from_path<S, T>(parts: &mut Parts, state: &S) -> Result<T, Problem>
where
    S: Send + Sync,
    T: DeserializeOwned + Send,
{
    let failed = match Inner::from_request_parts(parts, state).await {
        Ok(Inner(value)) => return Ok(value),
        Err(PathRejection::FailedToDeserializePathParams(failed)) => failed,
        Err(rejection) => return Err(Problem::internal(rejection)),
    };
    let (name, message) = match failed.into_kind() {
        ErrorKind::ParseErrorAtKey { key, expected_type, .. } => (key, expected_type.to_owned()),
        ErrorKind::DeserializeError { key, message, .. } => (key, message),
        ErrorKind::InvalidUtf8InPathParam { key } => (key, "must be text in UTF-8".to_owned()),
        // axum does not name the parameter whose type refuses it in words of its own.
        ErrorKind::Message(message) => (refused::<S, T>(parts, state).await, message),
        other => return Err(Problem::internal(other.to_string())),
    };
    Err(pointer::parameter_error(&name, &message))
}

/// The name of the parameter that does not fit its type.
async fn refused<S, T>(parts: &mut Parts, state: &S) -> String
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    let Ok(texts) = RawPathParams::from_request_parts(parts, state).await else {
        return String::new();
    };
    // Read like a query's, which tells where it has failed.
    let texts = form_urlencoded::Serializer::new(String::new()).extend_pairs(texts.iter()).finish();
    let texts = serde_urlencoded::Deserializer::new(form_urlencoded::parse(texts.as_bytes()));
    let refusal = serde_path_to_error::deserialize::<_, T>(texts).err();
    refusal.map(|error| error.path().to_string()).unwrap_or_default()
}
