use expect_test::expect;

use super::*;

fn letter() -> Value {
    json!({
        "id": "6f1c7a52-5f0e-5a2f-9c55-0d7a1b1f3c11", "projection": "stock", "version": 1,
        "shard": 0, "key": "stock/TEA-1", "state": "parked",
        "event": {
            "id": "0192f0c1-0000-7000-8000-000000000001", "type": "tradewind.stock.received.v1",
            "revision": 3, "recorded_at": "2026-01-31T12:00:00Z", "data": { "quantity": "many" },
        },
        "error": "its value cannot be decoded", "parked_at": "2026-01-31T12:00:01Z",
        "settled_at": null, "behind": 2,
    })
}

#[test]
fn the_list_is_a_table_with_a_way_to_the_next_page() {
    let listing = json!({ "items": [letter()], "next": "abc" });
    expect![[r#"
        ┌──────────────────────────────────────┬────────────┬─────────────┬────────┬────────┬─────────────────────┬─────────────────────────────┐
        │ id                                   ┆ projection ┆ key         ┆ behind ┆ state  ┆ parked at           ┆ error                       │
        ╞══════════════════════════════════════╪════════════╪═════════════╪════════╪════════╪═════════════════════╪═════════════════════════════╡
        │ 6f1c7a52-5f0e-5a2f-9c55-0d7a1b1f3c11 ┆ stock v1   ┆ stock/TEA-1 ┆      2 ┆ parked ┆ 2026-01-31 12:00:01 ┆ its value cannot be decoded │
        └──────────────────────────────────────┴────────────┴─────────────┴────────┴────────┴─────────────────────┴─────────────────────────────┘
        more: --cursor abc"#]].assert_eq(&list(serde_json::from_value(listing).unwrap()));
    let nothing = json!({ "items": [], "next": null });
    assert_eq!(list(serde_json::from_value(nothing).unwrap()), "no dead letters");
}

#[test]
fn a_letter_is_shown_with_its_data_what_waits_and_what_was_done() {
    let mut shown = letter();
    shown["waiting"] = json!([letter()["event"]]);
    shown["audit"] = json!([{
        "at": "2026-01-31T12:05:00Z", "actor": "key:1", "action": "edit", "reason": "ticket 4711",
        "outcome": "nothing is settled", "before": {}, "after": {},
    }]);
    expect![[r#"
        6f1c7a52-5f0e-5a2f-9c55-0d7a1b1f3c11: parked since 2026-01-31 12:00:01
        stock v1, shard 0, key stock/TEA-1
        its value cannot be decoded

        event 0192f0c1-0000-7000-8000-000000000001 (tradewind.stock.received.v1), revision 3, recorded at 2026-01-31 12:00:00
        {
          "quantity": "many"
        }

        ┌──────────────────────────────────────┬─────────────────────────────┬──────────┬─────────────────────┐
        │ waiting                              ┆ type                        ┆ revision ┆ recorded at         │
        ╞══════════════════════════════════════╪═════════════════════════════╪══════════╪═════════════════════╡
        │ 0192f0c1-0000-7000-8000-000000000001 ┆ tradewind.stock.received.v1 ┆ 3        ┆ 2026-01-31 12:00:00 │
        └──────────────────────────────────────┴─────────────────────────────┴──────────┴─────────────────────┘

        ┌─────────────────────┬───────┬──────┬─────────────┬────────────────────┐
        │ at                  ┆ who   ┆ what ┆ why         ┆ outcome            │
        ╞═════════════════════╪═══════╪══════╪═════════════╪════════════════════╡
        │ 2026-01-31 12:05:00 ┆ key:1 ┆ edit ┆ ticket 4711 ┆ nothing is settled │
        └─────────────────────┴───────┴──────┴─────────────┴────────────────────┘"#]].assert_eq(&detail(serde_json::from_value(shown).unwrap()));
}

#[test]
fn what_came_of_it_is_a_sentence() {
    let mut settled = letter();
    settled["state"] = "edited".into();
    settled["waiting"] = json!([]);
    settled["audit"] = json!([]);
    settled["settled_events"] = 3.into();
    settled["next"] = Value::Null;
    expect!["6f1c7a52-5f0e-5a2f-9c55-0d7a1b1f3c11 is edited: 3 events of stock/TEA-1 settled"]
        .assert_eq(&answer(serde_json::from_value(settled.clone()).unwrap()));
    settled["next"] = "7f1c7a52-5f0e-5a2f-9c55-0d7a1b1f3c11".into();
    expect![[r#"
        6f1c7a52-5f0e-5a2f-9c55-0d7a1b1f3c11 is edited: 3 events of stock/TEA-1 settled
        a later event does not apply: see 7f1c7a52-5f0e-5a2f-9c55-0d7a1b1f3c11"#]]
    .assert_eq(&answer(serde_json::from_value(settled).unwrap()));
}
