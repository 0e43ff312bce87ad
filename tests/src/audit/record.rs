//! One record of the log, read from its headers as they are written down.

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
    /// What every record has, before its headers are read.
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

/// The headers that every record bears, and those of events.
const ALWAYS: [&str; 4] = ["ce_logversion", "ce_kind", "ce_claim", "ce_id"];
const OF_EVENTS: [&str; 13] = [
    "ce_specversion",
    "ce_source",
    "ce_type",
    "ce_subject",
    "ce_time",
    "content-type",
    "ce_epoch",
    "ce_seq",
    "ce_revision",
    "ce_commandid",
    "ce_correlationid",
    "ce_causationid",
    "ce_actor",
];

pub(super) fn parse(raw: Raw) -> Result<Record, String> {
    let header = |name: &str| {
        raw.headers.get(name).cloned().ok_or_else(|| format!("a record without {name}"))
    };
    let number = |name: &str| {
        let text = header(name)?;
        text.parse::<u64>().map_err(|error| format!("{name} is {text:?}: {error}"))
    };
    for name in ALWAYS {
        header(name)?;
    }
    check("ce_logversion", &header("ce_logversion")?, "1")?;
    let kind = match header("ce_kind")?.as_str() {
        "claim" => Kind::Claim,
        "event" => Kind::Event,
        "barrier" => Kind::Barrier,
        other => return Err(format!("a record of kind {other:?}")),
    };
    let claim = header("ce_claim")?;
    if claim.len() != 16 || !claim.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(format!("ce_claim is {claim:?}, not 16 hex digits"));
    }
    let key = String::from_utf8(raw.key.clone()).map_err(|error| error.to_string())?;
    let value: Value = serde_json::from_slice(&raw.value).map_err(|error| error.to_string())?;
    let mut record = Record { claim, id: header("ce_id")?, ..Record::bare(kind, &key) };
    if kind == Kind::Claim {
        check("the key of a claim", &record.key, "claim")?;
        return Ok(record);
    }
    record.epoch = i64::try_from(number("ce_epoch")?).map_err(|error| error.to_string())?;
    record.seq = number("ce_seq")?;
    record.index = number("ce_index")?;
    record.count = number("ce_count")?;
    if kind == Kind::Barrier {
        check("the key of a barrier", &record.key, "barrier")?;
        record.outcomes = outcomes(&value)?;
        return Ok(record);
    }
    for name in OF_EVENTS {
        header(name)?;
    }
    check("ce_specversion", &header("ce_specversion")?, "1.0")?;
    check("ce_subject", &header("ce_subject")?, &record.key)?;
    if chrono::DateTime::parse_from_rfc3339(&header("ce_time")?).is_err() {
        return Err(format!("ce_time is {:?}", header("ce_time")?));
    }
    if record.index == 0 {
        header("ce_requesthash")?;
    }
    record.revision = number("ce_revision")?;
    record.event_type = header("ce_type")?;
    record.command_id = header("ce_commandid")?;
    record.value = value;
    Ok(record)
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
