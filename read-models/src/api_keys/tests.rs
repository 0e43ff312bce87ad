use serde_json::{Value, json};

use super::*;
use crate::testing::{fold, recorded_at};

const ID: Uuid = Uuid::from_u128(1);

fn issued() -> Value {
    json!({ "type": "issued", "data": {
        "name": "till", "roles": ["staff", "analyst"], "sha256": "ab",
        "expires_at": "2027-01-01T00:00:00Z",
    } })
}

#[test]
fn a_key_is_issued_and_revoked() {
    let revoked = json!({ "type": "revoked", "data": {} });
    let key = fold::<ApiKeyRow>(StreamType::ApiKey, ID, &[issued(), revoked]).unwrap().0.unwrap();
    let expected = ApiKeyRow {
        id: ID,
        name: "till".into(),
        roles: Json(BTreeSet::from([Role::Staff, Role::Analyst])),
        hash: "ab".into(),
        expires_at: Some("2027-01-01T00:00:00Z".parse().unwrap()),
        revoked_at: Some(recorded_at(2)),
        revision: 2,
    };
    assert_eq!(key, expected);
}

#[test]
fn only_an_issued_key_can_be_revoked() {
    let revoked = json!({ "type": "revoked", "data": {} });
    assert_eq!(
        fold::<ApiKeyRow>(StreamType::ApiKey, ID, &[revoked]),
        Err(Inapplicable::UnknownStream)
    );
}
