//! What events look like, as documents that are made once: the list, a JSON Schema of each version of
//! each event, and the AsyncAPI document of the log. All of it comes from `domain::schema` and
//! `infra::log::schema`.

mod asyncapi;

use std::collections::BTreeMap;

use domain::schema::{self, Schema};
use infra::http::etag::Fixed;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

#[cfg(test)]
mod tests;

const JSON: &str = "application/json";
const JSON_SCHEMA: &str = "application/schema+json";

/// All versions of all events.
#[derive(Serialize, ToSchema)]
#[schema(as = SchemaList)]
pub(crate) struct List {
    items: Vec<Listed>,
}

/// One version of one event.
#[derive(Serialize, ToSchema)]
#[schema(as = SchemaEntry)]
struct Listed {
    /// As `type` of an event has it.
    #[serde(rename = "type")]
    #[schema(example = "tradewind.order.placed.v1")]
    event_type: String,
    #[schema(example = "order")]
    stream_type: String,
    #[schema(example = "placed")]
    event: String,
    #[schema(example = 1)]
    version: u32,
    /// Whether events are written so; older ones are lifted to that.
    newest: bool,
    /// What happened.
    description: String,
    /// Where its schema is.
    #[schema(example = "/v1/schemas/tradewind.order.placed.v1")]
    href: String,
}

impl From<&Schema> for Listed {
    fn from(schema: &Schema) -> Self {
        let event_type = schema.event_type();
        Self {
            href: format!("/v1/schemas/{event_type}"),
            event_type,
            stream_type: schema.stream_type.as_str().to_owned(),
            event: schema.event.clone(),
            version: schema.version,
            newest: schema.is_newest,
            description: schema.description().to_owned(),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Schemas {
    list: Fixed,
    of_types: BTreeMap<String, Fixed>,
    asyncapi: Fixed,
}

impl Schemas {
    pub(crate) fn of_this_release() -> Self {
        let all = schema::all();
        let list = List { items: all.iter().map(Listed::from).collect() };
        // Texts, numbers and truths always serialise.
        let list = serde_json::to_value(&list).unwrap_or_default();
        let of_types = all.iter().map(|schema| {
            (schema.event_type(), Fixed::new(JSON_SCHEMA, written(&schema.document)))
        });
        Self {
            list: Fixed::new(JSON, written(&list)),
            of_types: of_types.collect(),
            asyncapi: Fixed::new(JSON, written(&asyncapi::document(&all))),
        }
    }

    pub(crate) const fn list(&self) -> &Fixed {
        &self.list
    }

    pub(crate) fn of_type(&self, event_type: &str) -> Option<&Fixed> {
        self.of_types.get(event_type)
    }

    pub(crate) const fn asyncapi(&self) -> &Fixed {
        &self.asyncapi
    }
}

/// For people, too.
fn written(document: &Value) -> String {
    format!("{document:#}\n")
}
