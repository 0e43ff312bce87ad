//! What records of the log look like, for readers: a JSON Schema of the envelope of each kind, made of
//! what reads it.
//!
//! An envelope may have further attributes, which readers pass over; the data of events are the domain's
//! to describe (`domain::schema`).

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    record::{BarrierData, ClaimInfo},
    wire::{self, Envelope},
};

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Event,
    Claim,
    Barrier,
}

/// On an event alone.
const OF_EVENTS: &[&str] = &[
    "revision",
    "commandid",
    "correlationid",
    "causationid",
    "actor",
    "traceparent",
    "requesthash",
];
/// On a record of a commit: a claim belongs to none, and its `claim` is its own.
const OF_COMMITS: &[&str] = &["epoch", "seq", "index", "count"];
/// What is left out where it would say nothing.
const MAY_BE_ABSENT: &[&str] =
    &["index", "count", "correlationid", "causationid", "traceparent", "requesthash"];

impl Kind {
    pub const ALL: [Self; 3] = [Self::Event, Self::Claim, Self::Barrier];

    /// As the attribute `kind` has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Claim => "claim",
            Self::Barrier => "barrier",
        }
    }

    /// The one `type` of such records; events have many.
    #[must_use]
    pub const fn record_type(self) -> Option<&'static str> {
        match self {
            Self::Event => None,
            Self::Claim => Some(wire::CLAIM_TYPE),
            Self::Barrier => Some(wire::BARRIER_TYPE),
        }
    }

    /// Its meaning, in a sentence or two.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Event => "Something happened.",
            Self::Claim => {
                "A node writes this shard from here on. What the writer before it had not finished will \
                 never count."
            }
            Self::Barrier => {
                "No stream changes. It keeps the answers to commands that were refused, or accepted \
                 without an event."
            }
        }
    }

    /// The JSON Schema of the value of such a record. Of an event, it says nothing about `data`.
    #[must_use]
    pub fn envelope(self) -> Value {
        let mut schema = of::<Envelope<'static>>();
        let is_here = |name: &str| match self {
            Self::Event => true,
            Self::Claim => !OF_EVENTS.contains(&name) && !OF_COMMITS.contains(&name),
            Self::Barrier => !OF_EVENTS.contains(&name),
        };
        let mut required = Vec::new();
        if let Some(Value::Object(attributes)) = schema.get_mut("properties") {
            attributes.retain(|name, _| is_here(name));
            for (name, attribute) in attributes.iter_mut() {
                let description = attribute.get("description").cloned().unwrap_or_default();
                let is_data = name == "data";
                *attribute = if is_data { self.data() } else { self.form(name).into() };
                attribute["description"] = one_line(&description);
                if !MAY_BE_ABSENT.contains(&&**name) {
                    required.push(name.clone());
                }
            }
        }
        schema["required"] = required.into();
        schema["description"] = self.description().into();
        schema
    }

    /// What an attribute looks like, beyond that it is a text or a number.
    fn form(self, name: &str) -> Map<String, Value> {
        let integer = |minimum: u32| json!({"type": "integer", "minimum": minimum});
        let form = match name {
            "specversion" => json!({"type": "string", "const": wire::SPEC_VERSION}),
            "logversion" => json!({"type": "integer", "const": wire::LOG_VERSION}),
            "kind" => json!({"type": "string", "const": self.as_str()}),
            "source" => json!({"type": "string", "const": wire::SOURCE}),
            "type" => match self.record_type() {
                Some(one) => json!({"type": "string", "const": one}),
                None => {
                    json!({"type": "string", "pattern": "^tradewind[.][a-z_]+[.][a-z_]+[.]v[0-9]+$"})
                }
            },
            "subject" => match self {
                Self::Event => json!({"type": "string", "pattern": "^[a-z_]+/[\\s\\S]+$"}),
                Self::Claim => json!({"type": "string", "const": wire::CLAIM_KEY}),
                Self::Barrier => json!({"type": "string", "const": wire::BARRIER_KEY}),
            },
            "time" => json!({"type": "string", "format": "date-time"}),
            "claim" => json!({"type": "string", "pattern": "^[0-9a-f]{16}$"}),
            "requesthash" => json!({"type": "string", "pattern": "^[0-9a-f]{32}$"}),
            "id" if self != Self::Event => json!({"type": "string"}),
            "id" | "commandid" | "correlationid" | "causationid" => {
                json!({"type": "string", "format": "uuid"})
            }
            "epoch" | "index" => integer(0),
            "seq" | "count" | "revision" => integer(1),
            _ => json!({"type": "string"}),
        };
        form.as_object().cloned().unwrap_or_default()
    }

    fn data(self) -> Value {
        match self {
            Self::Event => json!({"type": "object"}),
            Self::Claim => of::<ClaimInfo>(),
            Self::Barrier => of::<BarrierData<'static>>(),
        }
    }
}

fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("title");
    }
    schema
}

/// Comments are broken into lines, texts for readers are not.
fn one_line(text: &Value) -> Value {
    text.as_str().unwrap_or_default().replace('\n', " ").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Body, OutcomeRecord, OutgoingRecord, RequestHash, memory::RawRecord, sample};

    /// A record of each kind, with and without what may be absent.
    fn records() -> Vec<(Kind, RawRecord)> {
        let mut full = sample::event(crate::log::Place { index: 1, count: 2, ..sample::PLACE }, 5);
        full.request_hash = Some(RequestHash([0xab; 16]));
        full.provenance.traceparent = Some("00-1".into());
        let mut barrier = sample::barrier(sample::PLACE);
        barrier.outcomes.push(OutcomeRecord {
            command_id: domain::id::CommandId::new(uuid::Uuid::nil()),
            request_hash: RequestHash([1; 16]),
            status: 422,
            body: json!({"code": "cart.empty"}),
        });
        let event = |event| OutgoingRecord::Event(Box::new(event));
        [
            (Kind::Event, event(sample::event(sample::PLACE, 5))),
            (Kind::Event, event(full)),
            (Kind::Claim, OutgoingRecord::Claim(sample::claim(crate::log::Nonce(7)))),
            (Kind::Barrier, OutgoingRecord::Barrier(barrier)),
        ]
        .map(|(kind, record)| (kind, RawRecord::of(&record).unwrap()))
        .into()
    }

    fn value(raw: &RawRecord) -> Value {
        serde_json::from_slice(raw.value.as_deref().unwrap()).unwrap()
    }

    fn is_valid(kind: Kind, value: &Value) -> bool {
        let options = jsonschema::draft202012::options().should_validate_formats(true);
        options.build(&kind.envelope()).unwrap().is_valid(value)
    }

    #[test]
    fn what_is_written_fits_the_schema_of_its_kind_and_of_no_other() {
        for (kind, raw) in records() {
            for other in Kind::ALL {
                assert_eq!(is_valid(other, &value(&raw)), other == kind, "{kind:?} as {other:?}");
            }
        }
    }

    #[test]
    fn a_record_without_what_may_be_absent_is_read_and_one_without_anything_else_does_not_fit() {
        for (kind, raw) in records() {
            for name in value(&raw).as_object().unwrap().keys() {
                let mut without = value(&raw);
                without.as_object_mut().unwrap().remove(name);
                let is_valid = is_valid(kind, &without);
                assert_eq!(is_valid, MAY_BE_ABSENT.contains(&&**name), "{kind:?} without {name}");
                let raw = RawRecord { value: Some(without.to_string().into()), ..raw.clone() };
                let is_read = !matches!(raw.decode(), Ok(Body::Foreign(_)) | Err(_));
                // Without it, the second record stands beyond the end of its commit.
                let is_count = name == "count";
                assert!(is_read || !is_valid || is_count, "{kind:?} without {name}");
            }
        }
    }

    #[test]
    fn every_attribute_is_described() {
        for kind in Kind::ALL {
            for (name, attribute) in kind.envelope()["properties"].as_object().unwrap() {
                assert!(attribute["description"].as_str().unwrap().ends_with('.'), "{name}");
            }
        }
    }
}
