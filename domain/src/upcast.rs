//! Old shapes of events, lifted to the newest one step at a time.
//!
//! A new shape of an event that old data does not fit is a new version: a golden file, and a step in
//! the aggregate's `UPCASTS`. Steps and golden files of old versions stay for ever, because the log
//! does. A field that may be absent is no new version, but a further golden file.

use serde_json::{Map, Value};

/// The fields of an event's data.
pub type Data = Map<String, Value>;

/// Lifts the data of one version of an event to the next. Those of one event have no gap from
/// version 1 on.
pub struct Upcast {
    pub event: &'static str,
    /// The version that it takes; it gives the next.
    pub from: u32,
    pub lift: fn(Data) -> Data,
    /// The JSON Schema of what it takes, for readers of the log as it was written: what
    /// `schemas/<aggregate>/<event>.v<from>.json` was when that version was the newest.
    pub schema: &'static str,
}

/// The version of an event that writers write.
#[must_use]
pub fn newest(steps: &[Upcast], event: &str) -> u32 {
    of(steps, event).map(|step| step.from.saturating_add(1)).max().unwrap_or(1)
}

/// Takes data of version `from` through all later steps.
#[must_use]
pub fn lift(steps: &[Upcast], event: &str, from: u32, mut data: Data) -> Data {
    for version in from..newest(steps, event) {
        if let Some(step) = of(steps, event).find(|step| step.from == version) {
            data = (step.lift)(data);
        }
    }
    data
}

fn of<'a>(steps: &'a [Upcast], event: &'a str) -> impl Iterator<Item = &'a Upcast> {
    steps.iter().filter(move |step| step.event == event)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STEPS: &[Upcast] = &[
        Upcast { event: "received", from: 1, lift: rename, schema: "{}" },
        Upcast { event: "received", from: 2, lift: add, schema: "{}" },
    ];

    fn rename(mut data: Data) -> Data {
        let quantity = data.remove("qty").unwrap_or_default();
        data.insert("quantity".to_owned(), quantity);
        data
    }

    fn add(mut data: Data) -> Data {
        data.insert("reference".to_owned(), Value::Null);
        data
    }

    #[track_caller]
    fn check(from: u32, data: Value, expected: Value) {
        let Value::Object(data) = data else { panic!("{data}") };
        assert_eq!(Value::Object(lift(STEPS, "received", from, data)), expected);
    }

    #[test]
    fn old_data_takes_every_later_step() {
        check(1, json!({"qty": 5}), json!({"quantity": 5, "reference": null}));
        check(2, json!({"quantity": 5}), json!({"quantity": 5, "reference": null}));
        check(3, json!({"quantity": 5}), json!({"quantity": 5}));
    }

    #[test]
    fn newest_follows_the_last_step() {
        assert_eq!(newest(STEPS, "received"), 3);
        assert_eq!(newest(STEPS, "adjusted"), 1);
    }
}
