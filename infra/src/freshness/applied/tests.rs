use proptest::prelude::*;

use super::*;
use crate::log::Nonce;

const LOG: u64 = 7;
const ORDERS: &[Projection] = &[Projection("orders")];
const BOTH: &[Projection] = &[Projection("products"), Projection("stock")];
const READ: &[Projection] =
    &[Projection("carts"), Projection("orders"), Projection("products"), Projection("stock")];

fn row(
    projection: &str,
    version: i32,
    shard: i32,
    log: Option<u64>,
    offset: Offset,
) -> PositionRow {
    let projection = *READ.iter().find(|known| known.0 == projection).unwrap();
    PositionRow { version, ..PositionRow::sample(projection, shard, log.map(Nonce), offset) }
}

fn replace(rows: &[PositionRow]) -> Applied {
    Applied::replace(READ, rows, Instant::now())
}

fn coverage(
    applied: &Applied,
    projections: &[Projection],
    wanted: &Position,
) -> Result<Coverage, Impossible> {
    applied.coverage(projections, wanted, Instant::now())
}

fn notice(projection: &str, version: i32, shard: u32, log: u64, next_offset: Offset) -> Notice {
    let (shard, log_id) = (ShardId::new(shard), Nonce(log));
    let (projection, with) = (projection.to_owned(), Vec::new());
    Notice { projection, version, shard, log_id, next_offset, with }
}

const NEWS: Heard = Heard { moved: true, unknown: Vec::new() };

fn at(shard: u32, log: u64, offset: Offset) -> Position {
    Position::of(ShardId::new(shard), Nonce(log), offset)
}

#[track_caller]
fn check(applied: &Applied, wanted: &Position, expected: Result<Coverage, Impossible>) {
    assert_eq!(coverage(applied, ORDERS, wanted), expected, "{wanted:?} in {applied:?}");
}

#[test]
fn a_position_is_reached_when_its_offset_is_applied() {
    let applied = replace(&[row("orders", 1, 0, Some(LOG), 5)]);
    check(&applied, &Position::default(), Ok(Coverage::Reached));
    check(&applied, &at(0, LOG, 5), Ok(Coverage::Reached));
    check(&applied, &at(0, LOG, 6), Ok(Coverage::Behind));
    check(&applied, &at(1, LOG, 1), Ok(Coverage::Behind));
}

#[test]
fn all_projections_and_shards_must_reach_it() {
    let applied = replace(&[
        row("products", 1, 0, Some(LOG), 9),
        row("products", 1, 1, Some(LOG), 9),
        row("stock", 1, 0, Some(LOG), 9),
        row("stock", 1, 1, Some(LOG), 4),
    ]);
    let mut wanted = at(0, LOG, 9);
    assert_eq!(coverage(&applied, BOTH, &wanted), Ok(Coverage::Reached));
    wanted.merge(&at(1, LOG, 5));
    assert_eq!(coverage(&applied, BOTH, &wanted), Ok(Coverage::Behind));
}

#[test]
fn a_position_of_another_log_is_refused_at_once() {
    let applied = replace(&[row("orders", 1, 0, Some(LOG), 5)]);
    check(&applied, &at(0, LOG + 1, 1), Err(Impossible::UnknownLog));
}

#[test]
fn a_shard_without_a_log_can_still_become_any() {
    let applied = replace(&[row("orders", 1, 0, None, 0)]);
    check(&applied, &at(0, LOG, 1), Ok(Coverage::Behind));
}

fn looked_at(row: PositionRow, shards: i32) -> PositionRow {
    PositionRow { end_seconds: Some(1.0), shard_count: Some(shards), ..row }
}

#[test]
fn a_position_that_no_log_can_hold_is_refused_at_once() {
    let applied = replace(&[looked_at(row("orders", 1, 0, Some(LOG), 5), 2)]);
    check(&applied, &at(1, LOG, 7), Ok(Coverage::Behind));
    check(&applied, &at(2, LOG, 7), Err(Impossible::NotThere));
    check(&applied, &at(0, LOG, 1_000_000), Ok(Coverage::Behind));
    check(&applied, &at(0, LOG, i64::MAX), Err(Impossible::NotThere));
    // The longer nobody has looked, the further the log may have grown.
    let far = at(0, LOG, 3_000_000_000);
    check(&applied, &far, Err(Impossible::NotThere));
    let later = Instant::now() + std::time::Duration::from_secs(3600);
    assert_eq!(applied.coverage(ORDERS, &far, later), Ok(Coverage::Behind));
}

#[test]
fn a_projection_is_as_fresh_as_the_last_look_that_it_has_passed() {
    let asked_at = Instant::now();
    let level = PositionRow { level_seconds: Some(2.0), ..row("orders", 1, 0, Some(LOG), 5) };
    let behind = PositionRow { level_seconds: None, ..row("stock", 1, 0, Some(LOG), 5) };
    let applied = Applied::replace(READ, &[level, behind], asked_at);
    let at = |projection| applied.log.level_at(projection, ShardId::new(0));
    assert_eq!(at(ORDERS[0]), Some(asked_at - std::time::Duration::from_secs(2)));
    assert_eq!(at(BOTH[1]), None);
}

#[test]
fn notices_only_move_forward() {
    let mut applied = replace(&[row("orders", 1, 0, Some(LOG), 5)]);
    assert_eq!(applied.advance(&notice("orders", 1, 0, LOG, 8)), NEWS);
    assert_eq!(applied.advance(&notice("orders", 1, 0, LOG, 6)), Heard::default());
    assert_eq!(applied.position(ORDERS), at(0, LOG, 8));
}

#[test]
fn the_first_batch_of_a_shard_is_news() {
    let mut applied = replace(&[row("orders", 1, 0, None, 0)]);
    assert_eq!(applied.advance(&notice("orders", 1, 0, LOG, 3)), NEWS);
    check(&applied, &at(0, LOG, 3), Ok(Coverage::Reached));
}

#[test]
fn only_the_database_tells_which_version_and_log_are_live() {
    let mut applied = replace(&[row("orders", 1, 0, Some(LOG), 5)]);
    let before = applied.clone();
    for strange in [
        notice("orders", 2, 0, LOG, 90),
        notice("orders", 1, 0, LOG + 1, 90),
        notice("carts", 1, 0, LOG, 90),
    ] {
        let Notice { projection, version, log_id, .. } = strange.clone();
        let unknown = vec![(projection, version, log_id)];
        assert_eq!(applied.advance(&strange), Heard { moved: false, unknown });
    }
    assert_eq!(applied.advance(&notice("demand", 1, 0, LOG, 9)), Heard::default());
    assert_eq!(applied, before);
    let switched = replace(&[row("orders", 2, 0, Some(LOG), 4)]);
    assert_eq!(switched.position(ORDERS), at(0, LOG, 4));
}

#[test]
fn one_notice_moves_all_that_have_come_as_far_and_names_those_that_are_not_known() {
    let mut applied = replace(&[
        row("products", 1, 0, Some(LOG), 5),
        row("stock", 1, 0, Some(LOG), 9),
        row("orders", 1, 0, Some(LOG), 5),
    ]);
    let with = vec![("stock".to_owned(), 1), ("orders".to_owned(), 2), ("demand".to_owned(), 1)];
    let heard = applied.advance(&Notice { with, ..notice("products", 1, 0, LOG, 8) });
    let unknown = vec![("orders".to_owned(), 2, Nonce(LOG))];
    assert_eq!(heard, Heard { moved: true, unknown });
    assert_eq!(applied.position(&BOTH[..1]), at(0, LOG, 8));
    assert_eq!(applied.position(&BOTH[1..]), at(0, LOG, 9), "what was told never goes back");
    assert_eq!(applied.position(ORDERS), at(0, LOG, 5));
}

#[test]
fn an_answer_reflects_what_all_of_its_projections_have_applied() {
    let applied = replace(&[
        row("products", 1, 0, Some(LOG), 9),
        row("products", 1, 1, Some(LOG), 9),
        row("stock", 1, 0, Some(LOG), 4),
    ]);
    assert_eq!(applied.position(BOTH), at(0, LOG, 4));
    assert_eq!(applied.position(&[]), Position::default());
}

proptest! {
    /// What an answer claims to reflect is never more than what is known.
    #[test]
    fn a_position_given_out_is_reached(
        rows in prop::collection::vec((0..2_usize, 0..4_i32, 0..3_u64, 0..9_i64), 0..16),
    ) {
        let rows: Vec<_> = rows
            .into_iter()
            .map(|(of, shard, log, offset)| row(BOTH[of].0, 1, shard, Some(log), offset))
            .collect();
        let applied = replace(&rows);
        let position = applied.position(BOTH);
        prop_assert_eq!(coverage(&applied, BOTH, &position), Ok(Coverage::Reached));
    }

    /// The order in which notices arrive makes no difference.
    #[test]
    fn notices_arrive_in_any_order(
        offsets in prop::collection::vec((0..3_u32, 0..99_i64), 0..16),
        backwards in any::<bool>(),
    ) {
        let mut applied = replace(&[row("orders", 1, 0, Some(LOG), 5)]);
        let mut notices: Vec<_> = offsets.clone();
        if backwards {
            notices.reverse();
        }
        for (shard, offset) in notices {
            applied.advance(&notice("orders", 1, shard, LOG, offset));
        }
        for (shard, offset) in offsets {
            prop_assert_eq!(
                coverage(&applied, ORDERS, &at(shard, LOG, offset)),
                Ok(Coverage::Reached)
            );
        }
    }
}

#[test]
fn projectors_tell_positions_and_switches() {
    let parse = |text: &str| serde_json::from_str::<Notification>(text).ok();
    let switched = parse(r#"{"switched": "orders"}"#);
    assert_eq!(switched, Some(Notification::Switched { switched: "orders".to_owned() }));
    let applied = r#"{"projection": "orders", "version": 2, "shard": 1,
        "log_id": "0000000000000007", "next_offset": 9}"#;
    assert_eq!(parse(applied), Some(Notification::Applied(notice("orders", 2, 1, LOG, 9))));
    let all = r#"{"projection": "orders", "version": 2, "shard": 1,
        "log_id": "0000000000000007", "next_offset": 9, "with": [["stock", 1]]}"#;
    let with = vec![("stock".to_owned(), 1)];
    let told = Notice { with, ..notice("orders", 2, 1, LOG, 9) };
    assert_eq!(parse(all), Some(Notification::Applied(told)));
    assert_eq!(parse(r#"{"next_offset": 9}"#), None);
}
