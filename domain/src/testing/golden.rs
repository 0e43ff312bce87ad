//! The stored format of every event, as files that are never edited: a new shape is a new file.
//!
//! `golden/<aggregate>/<event>.v<version>.json` holds the event's data as stored, and
//! `<event>.v<version>.<n>.json` the n-th addition of fields that older events of that version lack.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    fs,
    path::PathBuf,
};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{Listed, StreamType, testing, upcast};

/// A stored event: a golden file.
#[derive(Clone, Debug)]
pub struct Golden {
    pub stream_type: StreamType,
    pub event: String,
    pub version: u32,
    /// As it was written.
    pub data: String,
}

impl Golden {
    /// As the log names it.
    #[must_use]
    pub fn event_type(&self) -> String {
        let Self { stream_type, event, version, .. } = self;
        format!("tradewind.{}.{event}.v{version}", stream_type.as_str())
    }
}

/// All shapes of all versions of all events: whoever reads the log reads each of them.
#[must_use]
pub fn all() -> Vec<Golden> {
    StreamType::ALL.iter().flat_map(|&stream_type| of(stream_type)).collect()
}

fn of(stream_type: StreamType) -> Vec<Golden> {
    files(stream_type)
        .into_iter()
        .map(|name| {
            let mut parts = name.split('.');
            let event = parts.next().unwrap_or_default().to_owned();
            let version = parts.next().and_then(|version| version.strip_prefix('v')?.parse().ok());
            let version = version.unwrap_or_else(|| panic!("golden file {name} has a version"));
            let data =
                fs::read_to_string(folder(stream_type).join(&name)).expect("a readable file");
            Golden { stream_type, event, version, data }
        })
        .collect()
}

/// Checks the samples of every event of an aggregate against the files of its newest version, that
/// older versions are lifted to it, and that no file is left over.
#[track_caller]
pub fn check<A: Listed>() {
    let (mut shapes, mut names) = (BTreeMap::<String, usize>::new(), BTreeSet::new());
    for event in A::samples() {
        let stored = serde_json::to_value(&event).expect("an event serialises");
        let kind = stored["type"].as_str().expect("an event has a type").to_owned();
        let version = upcast::newest(A::UPCASTS, &kind);
        let shape = shapes.entry(kind.clone()).or_default();
        let name = match *shape {
            0 => format!("{kind}.v{version}.json"),
            addition => format!("{kind}.v{version}.{addition}.json"),
        };
        *shape = shape.saturating_add(1);
        let path = folder(A::TYPE).join(&name);
        let Ok(text) = fs::read_to_string(path) else {
            panic!("no golden/{}/{name}: if the event is new, write\n{:#}", A::NAME, stored["data"])
        };
        let data: Value = serde_json::from_str(&text).expect("a golden file is JSON");
        assert_eq!(stored["data"], data, "golden/{}/{name}: write a new version", A::NAME);
        assert_eq!(testing::event::<A>(&kind, data), event);
        names.insert(name);
    }
    let sampled: BTreeSet<String> = shapes.into_keys().collect();
    assert_eq!(sampled, known_types::<A::Event>(), "every event has a sample");
    for Golden { event, version, data, .. } in of(A::TYPE) {
        if version < upcast::newest(A::UPCASTS, &event) {
            let data = serde_json::from_str(&data).expect("a golden file is JSON");
            let lifted = upcast::lift(A::UPCASTS, &event, version, data);
            drop(testing::event::<A>(&event, lifted.into()));
            names.extend(
                files(A::TYPE)
                    .into_iter()
                    .filter(|name| name.strip_prefix(&format!("{event}.v{version}.")).is_some()),
            );
        }
    }
    assert_eq!(files(A::TYPE), names, "every file has an event");
}

/// serde names all the variants when it meets one that it does not know.
fn known_types<E: DeserializeOwned + Debug>() -> BTreeSet<String> {
    let error = serde_json::from_value::<E>(json!({ "type": "?", "data": {} }))
        .expect_err("no event is called that")
        .to_string();
    let (_, list) = error.split_once("expected").expect("serde lists the variants");
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn files(stream_type: StreamType) -> BTreeSet<String> {
    fs::read_dir(folder(stream_type))
        .expect("a folder per aggregate")
        .map(|entry| entry.expect("a readable entry").file_name().to_string_lossy().into_owned())
        .collect()
}

fn folder(stream_type: StreamType) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/golden")).join(stream_type.as_str())
}
