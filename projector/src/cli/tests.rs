use expect_test::expect;

use super::*;
use crate::{
    status::{Item, State},
    verify::{Difference, Report, TableReport},
    versions::{Version, VersionState},
};

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
        rate: 0.0,
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
    let shown = tables::status(&Status { versions: vec![], items: vec![live, halted] });
    expect![[r#"
        ┌────────────┬───────┬─────────────┬─────────┬─────┬─────────┬───────────────────────────────┐
        │ projection ┆ shard ┆ next offset ┆ log end ┆ lag ┆ seconds ┆ state                         │
        ╞════════════╪═══════╪═════════════╪═════════╪═════╪═════════╪═══════════════════════════════╡
        │ orders v1  ┆     0 ┆       12345 ┆   12345 ┆   0 ┆     0.0 ┆ live                          │
        │ stock v1   ┆     1 ┆           7 ┆      10 ┆   3 ┆     4.2 ┆ halted: an event does not fit │
        └────────────┴───────┴─────────────┴─────────┴─────┴─────────┴───────────────────────────────┘"#]].assert_eq(&shown);
}

#[test]
fn a_report_names_what_differs() {
    let report = Report {
        events: 300,
        stopped: 1,
        tables: vec![TableReport {
            table: "stock".to_owned(),
            rows_expected: 2,
            rows_found: 2,
            checksum_expected: "0a".to_owned(),
            checksum_found: "0b".to_owned(),
            rows_differing: 1,
        }],
        differences: vec![Difference {
            table: "stock".to_owned(),
            key: "A-1".to_owned(),
            column: Some("on_hand".to_owned()),
            expected: Some(100.into()),
            found: Some(7.into()),
        }],
    };
    expect![[r#"
        ┌───────┬──────────┬───────┬───────────┬──────────────────┐
        │ table ┆ expected ┆ found ┆ differing ┆ checksum         │
        ╞═══════╪══════════╪═══════╪═══════════╪══════════════════╡
        │ stock ┆        2 ┆     2 ┆         1 ┆ 0b instead of 0a │
        └───────┴──────────┴───────┴───────────┴──────────────────┘
        1 of 2 rows differ from the fold of 300 events
        1 streams have an event that does not fit; they were compared as before it
        ┌───────┬─────┬─────────┬──────────┬───────┐
        │ table ┆ key ┆ column  ┆ expected ┆ found │
        ╞═══════╪═════╪═════════╪══════════╪═══════╡
        │ stock ┆ A-1 ┆ on_hand ┆ 100      ┆ 7     │
        └───────┴─────┴─────────┴──────────┴───────┘"#]]
    .assert_eq(&tables::report(&report));
}

#[test]
fn an_overview_shows_each_version_and_what_holds_it_up() {
    let at = chrono::DateTime::UNIX_EPOCH;
    let live = Version {
        projection: "orders".to_owned(),
        version: 2,
        fold: 1,
        state: VersionState::Live,
        paused: false,
        throttle: None,
        verify: false,
        verification: None,
        switch: false,
        replaced: Some(1),
        problem: None,
        corrections_since: None,
        created_at: at,
        changed_at: at,
    };
    let paused = Version { version: 3, state: VersionState::Copying, paused: true, ..live.clone() };
    let problem = Some("halted in shard 1: an event does not fit".to_owned());
    let stuck = Version { version: 4, state: VersionState::CatchingUp, problem, ..live.clone() };
    let item = Item {
        projection: "orders".to_owned(),
        version: 3,
        shard: 0,
        next_offset: 250,
        log_end: 1_000,
        lag_records: 750,
        lag_seconds: 2.0,
        rate: 125.4,
        state: State::CatchingUp,
        reason: None,
    };
    let status = Status { versions: vec![live, paused, stuck], items: vec![item] };
    expect![[r#"
        ┌────────────┬─────────┬──────┬───────────────────────────────────────────────────────┬────────┬───────────┬─────┐
        │ projection ┆ version ┆ fold ┆ state                                                 ┆ passed ┆ records/s ┆ lag │
        ╞════════════╪═════════╪══════╪═══════════════════════════════════════════════════════╪════════╪═══════════╪═════╡
        │ orders     ┆       2 ┆    1 ┆ live, after v1                                        ┆      - ┆         0 ┆   0 │
        │ orders     ┆       3 ┆    1 ┆ copying, paused                                       ┆    25% ┆       125 ┆ 750 │
        │ orders     ┆       4 ┆    1 ┆ catching_up: halted in shard 1: an event does not fit ┆      - ┆         0 ┆   0 │
        └────────────┴─────────┴──────┴───────────────────────────────────────────────────────┴────────┴───────────┴─────┘"#]].assert_eq(&tables::overview(&status));
}
