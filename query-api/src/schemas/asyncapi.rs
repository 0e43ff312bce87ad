//! The log as an AsyncAPI 3 document: a channel, which is the topic, and a message for each type of record.
//!
//! Its schemas are those of 2020-12 as they are; they use nothing that AsyncAPI's own, a superset of draft
//! 07, does not have.

use domain::schema::Schema;
use infra::log::schema::Kind;
use serde_json::{Map, Value, json};

const CONTENT_TYPE: &str = "application/cloudevents+json";
/// Of AsyncAPI's bindings to Kafka.
const BINDING: &str = "0.5.0";
/// What a schema says of itself, which says nothing within a document.
const DIALECT: &str = "$schema";

pub(super) fn document(events: &[Schema]) -> Value {
    let (mut messages, mut schemas) = (Map::new(), Map::new());
    for event in events {
        let name = event.event_type();
        schemas.insert(name.clone(), without_dialect(event.document.clone()));
        let payload = json!({"allOf": [
            {"$ref": "#/components/schemas/event"},
            {"properties": {
                "type": {"const": name},
                "subject": {"pattern": format!("^{}/[\\s\\S]+$", event.stream_type.as_str())},
                "data": {"$ref": format!("#/components/schemas/{name}")},
            }},
        ]});
        let key = json!({"type": "string", "description": "The stream, which is `subject`, too."});
        let tags = json!([{"name": event.stream_type.as_str()}]);
        messages.insert(name.clone(), message(&name, event.description(), payload, key, tags));
    }
    for kind in Kind::ALL {
        let name = kind.as_str();
        schemas.insert(name.to_owned(), without_dialect(kind.envelope()));
        if let Some(record_type) = kind.record_type() {
            let payload = json!({"$ref": format!("#/components/schemas/{name}")});
            let key = json!({"type": "string", "const": name});
            let tags = json!([{"name": "log"}]);
            messages.insert(
                record_type.to_owned(),
                message(record_type, kind.description(), payload, key, tags),
            );
        }
    }
    let of_channel =
        |name: &String| (name.clone(), json!({"$ref": format!("#/components/messages/{name}")}));
    let of_channel: Map<_, _> = messages.keys().map(of_channel).collect();
    let of_operation =
        messages.keys().map(|name| json!({"$ref": format!("#/channels/events/messages/{name}")}));
    let of_operation: Vec<_> = of_operation.collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tradewind event log",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {"events": {
            "address": "tradewind.events",
            "description": CHANNEL,
            "messages": of_channel,
            "bindings": {"kafka": {
                "topicConfiguration": {"cleanup.policy": ["delete"], "retention.ms": -1},
                "bindingVersion": BINDING,
            }},
        }},
        "operations": {"append": {
            "action": "send",
            "channel": {"$ref": "#/channels/events"},
            "summary": "Whoever owns a shard appends what happened.",
            "messages": of_operation,
        }},
        "components": {"messages": messages, "schemas": schemas},
    })
}

const ABOUT: &str = "All that ever happened, as CloudEvents 1.0 in structured mode: one record per event. \
    What was written is not always what counts: after a node has died the log may hold records of its that \
    never did, and nobody was told that they happened. Which records count takes a page of rules, which the \
    project's docs/log.md has, with a program; `GET /v1/events` of the query API shows the events that \
    count. Members with `x-personal` tell of a person.";

const CHANNEL: &str = "The topic, unless it is called otherwise (`kafka.topic`). A partition is a shard: all \
    events of a stream lie in one, `murmur2(stream id) mod partitions`, in their order, as Kafka's own \
    clients have it. Between shards there is no order. The number of partitions never changes. Records are \
    never deleted or overwritten.";

fn message(name: &str, description: &str, payload: Value, key: Value, tags: Value) -> Value {
    json!({
        "name": name,
        "title": name,
        "summary": description,
        "contentType": CONTENT_TYPE,
        "tags": tags,
        "headers": {
            "type": "object",
            "required": ["content-type"],
            "properties": {"content-type": {"type": "string", "const": CONTENT_TYPE}},
        },
        "payload": payload,
        "bindings": {"kafka": {"key": key, "bindingVersion": BINDING}},
    })
}

fn without_dialect(mut schema: Value) -> Value {
    if let Some(schema) = schema.as_object_mut() {
        schema.remove(DIALECT);
    }
    schema
}
