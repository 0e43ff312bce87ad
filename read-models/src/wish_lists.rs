//! Wish lists as staff see them: the worked example of docs/adding.md.

use chrono::{DateTime, Utc};
use domain::{Event, StreamType, id::Sku, wish_list};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    Evolved, Fold,
    Get::{self, Time},
    Inapplicable, Origin, Projection, Row, Shown,
};

pub const WISH_LISTS: Projection = Projection {
    name: "wish_lists",
    version: 1,
    tables: "
        CREATE TABLE {schema}.wish_lists (
            id         uuid PRIMARY KEY,
            doc        jsonb NOT NULL,
            updated_at timestamptz NOT NULL,
            revision   bigint NOT NULL
        ) WITH (fillfactor = 60);
    ",
    views: &[("wish_lists", "SELECT id, doc, revision, updated_at FROM {schema}.wish_lists")],
    analytics: &[],
    folds: &[Fold::of::<WishListRow>(StreamType::WishList)],
};

/// As the view has it, and as clients see it.
pub type WishList = Shown<WishListHead, WishListDoc>;

#[derive(Serialize, sqlx::FromRow, ToSchema)]
#[schema(as = WishList)]
pub struct WishListHead {
    pub id: Uuid,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WishListDoc {
    /// Once it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// As they were added.
    #[schema(value_type = Vec<String>)]
    skus: Vec<Sku>,
}

#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
struct WishListRow {
    id: Uuid,
    doc: Json<WishListDoc>,
    updated_at: DateTime<Utc>,
}

impl Row for WishListRow {
    type Key = Uuid;

    const TABLE: &'static str = "wish_lists";
    const COLUMNS: &'static [(&'static str, Get<Self>)] = &[
        ("id", Get::Uuid(|list| list.id)),
        ("doc", Get::Json(|list| serde_json::to_string(&list.doc))),
        ("updated_at", Time(|list| list.updated_at)),
    ];

    fn evolve(row: Option<Self>, event: &Event, origin: &mut Origin<'_, Uuid>) -> Evolved<Self> {
        use wish_list::Event::{Added, Removed, Renamed};
        let Event::WishList(event) = event else { return Err(Inapplicable::WrongStream) };
        let mut doc = match (row, event) {
            (Some(row), _) => row.doc,
            (None, Added { .. }) => Json::default(),
            (None, Removed { .. } | Renamed { .. }) => return Err(Inapplicable::UnknownStream),
        };
        match event {
            Added { sku } => doc.skus.push(sku.clone()),
            Removed { sku } => doc.skus.retain(|listed| listed != sku),
            Renamed { name } => doc.name = Some(name.clone()),
        }
        Ok(Some(Self { id: *origin.key, doc, updated_at: origin.recorded_at }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::fold;

    fn of(events: &[Value]) -> Result<WishListRow, Inapplicable> {
        let (row, _) = fold(StreamType::WishList, Uuid::from_u128(1), events)?;
        Ok(row.expect("a row"))
    }

    #[test]
    fn skus_come_and_go_and_the_name_stays() {
        let added = |sku: &str| json!({ "type": "added", "data": { "sku": sku } });
        let renamed = json!({ "type": "renamed", "data": { "name": "birthday" } });
        let removed = json!({ "type": "removed", "data": { "sku": "A" } });
        let list = of(&[added("A"), renamed.clone(), added("B"), removed]).unwrap();
        let doc = serde_json::to_value(&list.doc).unwrap();
        assert_eq!(doc, json!({ "name": "birthday", "skus": ["B"] }));
        assert_eq!(of(&[renamed]), Err(Inapplicable::UnknownStream));
    }
}
