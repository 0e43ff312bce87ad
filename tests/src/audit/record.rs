//! One record of the log, read from its envelope as it is written down.

use std::collections::BTreeMap;

use serde_json::Value;

/// A record as Kafka has it.
pub(super) struct Raw {
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) headers: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Claim,
    Event,
    Barrier,
}

#[derive(Clone, Debug)]
pub struct Record {
    pub kind: Kind,
    pub key: String,
    pub claim: String,
    pub epoch: i64,
    pub seq: u64,
    pub index: u64,
    pub count: u64,
    pub revision: u64,
    pub id: String,
    pub event_type: String,
    pub command_id: String,
    /// Of barriers: the answers that they carry.
    pub outcomes: Vec<Outcome>,
    /// Of events.
    pub value: Value,
}

impl Record {
    /// What every record has, before its envelope is read.
    #[must_use]
    pub fn bare(kind: Kind, key: &str) -> Self {
        Self {
            kind,
            key: key.to_owned(),
            claim: String::new(),
            epoch: -1,
            seq: 0,
            index: 0,
            count: 1,
            revision: 0,
            id: String::new(),
            event_type: String::new(),
            command_id: String::new(),
            outcomes: vec![],
            value: Value::Null,
        }
    }
}

/// The answer to a command that made no event.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub command_id: String,
    pub status: u64,
}

/// All attributes, in their order, before the data.
const ORDER: [&str; 20] = [
    "specversion",
    "logversion",
    "kind",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "epoch",
    "claim",
    "seq",
    "index",
    "count",
    "revision",
    "commandid",
    "correlationid",
    "causationid",
    "actor",
    "traceparent",
    "requesthash",
];

/// One envelope.
struct Attributes(serde_json::Map<String, Value>);

impl Attributes {
    fn parse(raw: &Raw) -> Result<Self, String> {
        let header = raw.headers.get("content-type").map(String::as_str);
        check("content-type", header.unwrap_or("absent"), "application/cloudevents+json")?;
        match serde_json::from_slice(&raw.value).map_err(|error| error.to_string())? {
            Value::Object(attributes) => Ok(Self(attributes)),
            other => Err(format!("an envelope that is no object: {other}")),
        }
    }

    fn text(&self, name: &str) -> Result<&str, String> {
        let text = self.0.get(name).and_then(Value::as_str);
        text.ok_or_else(|| format!("a record without the text {name}"))
    }

    fn number(&self, name: &str) -> Result<u64, String> {
        let number = self.0.get(name).and_then(Value::as_u64);
        number.ok_or_else(|| format!("a record without the number {name}"))
    }

    /// Of what is only written where it is not this.
    fn unless(&self, name: &str, usual: u64) -> Result<u64, String> {
        match self.0.get(name).map(|_| self.number(name)).transpose()? {
            Some(number) if number == usual => Err(format!("{name} is there and {usual}")),
            number => Ok(number.unwrap_or(usual)),
        }
    }

    fn absent(&self, names: &[&str]) -> Result<(), String> {
        match names.iter().find(|name| self.0.contains_key(**name)) {
            Some(name) => Err(format!("a record with {name}")),
            None => Ok(()),
        }
    }
}

pub(super) fn parse(raw: &Raw) -> Result<Record, String> {
    let attributes = Attributes::parse(raw)?;
    check_order(&raw.value)?;
    check("specversion", attributes.text("specversion")?, "1.0")?;
    check("source", attributes.text("source")?, "/tradewind")?;
    let version = attributes.number("logversion")?;
    check("logversion", &version.to_string(), "2")?;
    let time = attributes.text("time")?;
    if chrono::DateTime::parse_from_rfc3339(time).is_err() || !time.ends_with('Z') {
        return Err(format!("time is {time:?}"));
    }
    let kind = match attributes.text("kind")? {
        "claim" => Kind::Claim,
        "event" => Kind::Event,
        "barrier" => Kind::Barrier,
        other => return Err(format!("a record of kind {other:?}")),
    };
    let claim = attributes.text("claim")?;
    if claim.len() != 16 || !claim.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(format!("claim is {claim:?}, not 16 hex digits"));
    }
    let key = std::str::from_utf8(&raw.key).map_err(|error| error.to_string())?;
    check("subject", attributes.text("subject")?, key)?;
    let (claim, id) = (claim.to_owned(), attributes.text("id")?.to_owned());
    let event_type = attributes.text("type")?.to_owned();
    let mut record = Record { claim, id, event_type, ..Record::bare(kind, key) };
    let data = attributes.0.get("data").ok_or("a record without data")?;
    if kind != Kind::Event {
        attributes.absent(&["index", "count", "revision", "commandid", "correlationid"])?;
        attributes.absent(&["causationid", "actor", "traceparent", "requesthash"])?;
    }
    if kind == Kind::Claim {
        check("the key of a claim", &record.key, "claim")?;
        attributes.absent(&["epoch", "seq"])?;
        return Ok(record);
    }
    record.epoch = i64::try_from(attributes.number("epoch")?).map_err(|error| error.to_string())?;
    record.seq = attributes.number("seq")?;
    if kind == Kind::Barrier {
        check("the key of a barrier", &record.key, "barrier")?;
        record.outcomes = outcomes(data)?;
        return Ok(record);
    }
    record.index = attributes.unless("index", 0)?;
    record.count = attributes.unless("count", 1)?;
    record.revision = attributes.number("revision")?;
    record.command_id = attributes.text("commandid")?.to_owned();
    for name in ["correlationid", "causationid"] {
        if attributes.0.contains_key(name) && attributes.text(name)? == record.command_id {
            return Err(format!("{name} is there and the command's id"));
        }
    }
    attributes.text("actor")?;
    if record.index == 0 {
        attributes.text("requesthash")?;
    }
    record.value = data.clone();
    Ok(record)
}

/// A map knows no order, so the names are looked for in the bytes as they lie there.
fn check_order(value: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(value).map_err(|error| error.to_string())?;
    let (before, _) = text.split_once("\"data\":").ok_or("a record without data")?;
    let mut from = 0;
    for name in ORDER {
        if let Some(at) = before.find(&format!("\"{name}\":")) {
            if at < from {
                return Err(format!("{name} is not in its place: {before}"));
            }
            from = at;
        }
    }
    Ok(())
}

fn outcomes(value: &Value) -> Result<Vec<Outcome>, String> {
    let list =
        value.get("outcomes").and_then(Value::as_array).ok_or("a barrier without outcomes")?;
    list.iter()
        .map(|outcome| {
            let id = outcome.get("command_id").and_then(Value::as_str);
            let status = outcome.get("status").and_then(Value::as_u64);
            let (Some(id), Some(status)) = (id, status) else {
                return Err(format!("an outcome without command_id or status: {outcome}"));
            };
            Ok(Outcome { command_id: id.to_owned(), status })
        })
        .collect()
}

fn check(what: &str, found: &str, expected: &str) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what} is {found:?}, not {expected:?}")) }
}
