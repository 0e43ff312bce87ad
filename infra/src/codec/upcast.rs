//! Old shapes of events, lifted to the newest one step at a time.
//!
//! A new shape of an event is a new version, a golden file, and one line in [`CHAIN`]. The lines
//! and the golden files of old versions stay for ever, because the log does.

use serde_json::{Error, Map, Value};

/// The fields of an event's data.
pub(super) type Data = Map<String, Value>;

/// Lifts the data of one version of a type to the next.
pub(super) struct Upcast {
    pub(super) stream: &'static str,
    pub(super) name: &'static str,
    /// The version that it takes; it gives the next.
    pub(super) from: u32,
    pub(super) lift: fn(Data) -> Data,
}

/// All steps there are, those of a type without a gap from version 1. None so far: every event
/// still has its first shape.
pub(super) const CHAIN: &[Upcast] = &[];

/// The version of a type that writers write.
pub(super) fn newest(chain: &[Upcast], stream: &str, name: &str) -> u32 {
    steps(chain, stream, name).map(|step| step.from + 1).max().unwrap_or(1)
}

/// Takes data of version `from` through all later steps.
pub(super) fn lift(
    chain: &[Upcast],
    stream: &str,
    name: &str,
    from: u32,
    data: &[u8],
) -> Result<Vec<u8>, Error> {
    let mut lifted: Data = serde_json::from_slice(data)?;
    for version in from..newest(chain, stream, name) {
        if let Some(step) = steps(chain, stream, name).find(|step| step.from == version) {
            lifted = (step.lift)(lifted);
        }
    }
    serde_json::to_vec(&lifted)
}

fn steps<'a>(
    chain: &'a [Upcast],
    stream: &'a str,
    name: &'a str,
) -> impl Iterator<Item = &'a Upcast> {
    chain.iter().filter(move |step| step.stream == stream && step.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: &[Upcast] = &[
        Upcast { stream: "stock", name: "received", from: 1, lift: rename },
        Upcast { stream: "stock", name: "received", from: 2, lift: add },
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
    fn check(from: u32, data: &str, expected: &str) {
        let lifted = lift(STEPS, "stock", "received", from, data.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(lifted).unwrap(), expected);
    }

    #[test]
    fn old_data_takes_every_later_step() {
        check(1, r#"{"qty":5}"#, r#"{"quantity":5,"reference":null}"#);
        check(2, r#"{"quantity":5}"#, r#"{"quantity":5,"reference":null}"#);
    }

    #[test]
    fn newest_follows_the_last_step() {
        assert_eq!(newest(STEPS, "stock", "received"), 3);
        assert_eq!(newest(STEPS, "stock", "adjusted"), 1);
        assert_eq!(newest(STEPS, "cart", "received"), 1);
    }
}
