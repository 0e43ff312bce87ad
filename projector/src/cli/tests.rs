use expect_test::expect;

use super::*;
use crate::status::State;

#[test]
fn the_table_shows_each_projection_per_shard_and_why_one_is_halted() {
    let live = Item {
        projection: "orders".to_owned(),
        version: 1,
        shard: 0,
        next_offset: 12_345,
        log_end: 12_345,
        lag_records: 0,
        lag_seconds: 0.0,
        state: State::Live,
        reason: None,
    };
    let halted = Item {
        shard: 1,
        next_offset: 7,
        lag_records: 3,
        log_end: 10,
        lag_seconds: 4.25,
        state: State::Halted,
        reason: Some("an event does not fit".to_owned()),
        projection: "stock".to_owned(),
        ..live
    };
    let live = Item { projection: "orders".to_owned(), ..live };
    let shown = table(&Status { items: vec![live, halted] }).to_string();
    expect![[r#"
        ┌────────────┬───────┬─────────────┬─────────┬─────┬─────────┬───────────────────────────────┐
        │ projection ┆ shard ┆ next offset ┆ log end ┆ lag ┆ seconds ┆ state                         │
        ╞════════════╪═══════╪═════════════╪═════════╪═════╪═════════╪═══════════════════════════════╡
        │ orders v1  ┆     0 ┆       12345 ┆   12345 ┆   0 ┆     0.0 ┆ live                          │
        │ stock v1   ┆     1 ┆           7 ┆      10 ┆   3 ┆     4.2 ┆ halted: an event does not fit │
        └────────────┴───────┴─────────────┴─────────┴─────┴─────────┴───────────────────────────────┘"#]].assert_eq(&shown);
}
