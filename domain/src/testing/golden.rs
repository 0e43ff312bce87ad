//! The stored format of every event, as files that are never edited: a new shape is a new file.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    fs,
    path::PathBuf,
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// Reads `golden/<path>` as an event and writes the same JSON back. `path` is
/// `<aggregate>/<event>.v1.json`, or `<event>.v1.<n>.json` for the n-th addition of fields that
/// older events lack; the file holds the event's data as stored.
#[track_caller]
pub fn check<E>(path: &str, event: &E)
where
    E: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let stored = serde_json::to_value(event).expect("an event serialises");
    let kind = path.rsplit('/').next().and_then(|name| name.split_once(".v1."));
    let kind = kind.map(|(kind, _)| kind);
    assert_eq!(stored["type"].as_str(), kind, "golden/{path} is named after the type");

    let Ok(text) = fs::read_to_string(folder().join(path)) else {
        panic!("no golden/{path}: if the event is new, write\n{:#}", stored["data"])
    };
    let data: Value = serde_json::from_str(&text).expect("a golden file is JSON");
    assert_eq!(stored["data"], data, "golden/{path}: a new shape needs a new version");
    let read: E = serde_json::from_value(json!({ "type": kind, "data": data }))
        .expect("a golden file is an event");
    assert_eq!(read, *event);
}

/// Checks the samples of every event of an aggregate, and that no file is left over. Of several
/// samples of one event, the oldest shape comes first.
#[track_caller]
pub fn check_all<E>(aggregate: &str, samples: &[E])
where
    E: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let (mut checked, mut names) = (BTreeMap::<String, usize>::new(), BTreeSet::new());
    for event in samples {
        let stored = serde_json::to_value(event).expect("an event serialises");
        let kind = stored["type"].as_str().expect("an event has a type");
        let shapes = checked.entry(kind.to_owned()).or_default();
        let name = match *shapes {
            0 => format!("{kind}.v1.json"),
            addition => format!("{kind}.v1.{addition}.json"),
        };
        *shapes = shapes.saturating_add(1);
        check(&format!("{aggregate}/{name}"), event);
        names.insert(name);
    }
    let checked: BTreeSet<String> = checked.into_keys().collect();
    assert_eq!(checked, known_types::<E>(), "every event has a sample");

    let files: BTreeSet<String> = fs::read_dir(folder().join(aggregate))
        .expect("the folder exists")
        .map(|entry| entry.expect("a readable entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(files, names, "every file has an event");
}

/// serde names all the variants when it meets one that it does not know.
fn known_types<E: DeserializeOwned + Debug>() -> BTreeSet<String> {
    let error = serde_json::from_value::<E>(json!({ "type": "?", "data": {} }))
        .expect_err("no event is called that")
        .to_string();
    let (_, list) = error.split_once("expected").expect("serde lists the variants");
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/golden"))
}
