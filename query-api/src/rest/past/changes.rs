//! What differs between two JSON values. Pure.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// One member that differs.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(in crate::rest) struct Change {
    /// Where it stands, a JSON pointer (RFC 6901). Items of lists are compared place by place.
    #[schema(example = "/status")]
    pub(super) pointer: String,
    /// Absent if it was not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    pub(super) from: Option<Value>,
    /// Absent if it is not there any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    pub(super) to: Option<Value>,
}

/// In the order of the first value, and then what only the second has.
pub(super) fn changes(from: &Value, to: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    compare(&mut String::new(), Some(from), Some(to), &mut found);
    found
}

fn compare(at: &mut String, from: Option<&Value>, to: Option<&Value>, found: &mut Vec<Change>) {
    match (from, to) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            for (name, value) in old {
                within(at, &escaped(name), |at| compare(at, Some(value), new.get(name), found));
            }
            for (name, value) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
                within(at, &escaped(name), |at| compare(at, None, Some(value), found));
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for index in 0..old.len().max(new.len()) {
                let place = index.to_string();
                within(at, &place, |at| compare(at, old.get(index), new.get(index), found));
            }
        }
        (from, to) if from == to => {}
        (from, to) => {
            found.push(Change { pointer: at.clone(), from: from.cloned(), to: to.cloned() });
        }
    }
}

fn within(at: &mut String, name: &str, compare: impl FnOnce(&mut String)) {
    let length = at.len();
    at.push('/');
    at.push_str(name);
    compare(at);
    at.truncate(length);
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn each_member_that_differs_is_named_once() {
        let from =
            json!({ "id": 1, "status": "pending", "a/b": 1, "lines": [{ "n": 1 }, { "n": 2 }] });
        let to = json!({ "id": 1, "status": "confirmed", "lines": [{ "n": 1 }], "paid": null });
        let change = |pointer: &str, from: Option<Value>, to: Option<Value>| Change {
            pointer: pointer.to_owned(),
            from,
            to,
        };
        let mut found = changes(&from, &to);
        found.sort_by(|a, b| a.pointer.cmp(&b.pointer));
        let expected = [
            change("/a~1b", Some(json!(1)), None),
            change("/lines/1", Some(json!({ "n": 2 })), None),
            change("/paid", None, Some(Value::Null)),
            change("/status", Some(json!("pending")), Some(json!("confirmed"))),
        ];
        assert_eq!(found, expected);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..5_u8).prop_map(Value::from),
            "[ab/~]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[ab/~]{0,2}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn pointers_lead_to_what_was_and_what_is(from in value(), to in value()) {
            let found = changes(&from, &to);
            prop_assert_eq!(found.is_empty(), from == to);
            for Change { pointer, from: was, to: is } in &found {
                prop_assert_eq!(from.pointer(pointer), was.as_ref());
                prop_assert_eq!(to.pointer(pointer), is.as_ref());
            }
        }
    }
}
