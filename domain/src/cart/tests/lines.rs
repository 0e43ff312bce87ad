//! What may go into a cart.

use super::*;

fn add(line: NewLine) -> Command {
    Command::AddLine { line }
}

fn change(code: &str, quantity: u32, adjustments: Option<Vec<Adjustment>>) -> Command {
    Command::ChangeLine { sku: sku(code), quantity, adjustments }
}

fn adjusted(line: Line, amount: i64) -> Line {
    let total = usd(line.total.amount + amount);
    Line { adjustments: vec![adjustment(amount)], total, ..line }
}

pub(super) fn put(kind: &str, line: &Line, expires_at: Timestamp) -> Event {
    event::<Cart>(kind, json!({ "line": line, "expires_at": expires_at }))
}

fn added(line: &Line) -> Event {
    put("line_added", line, expires_at())
}

fn changed(line: &Line) -> Event {
    put("line_changed", line, expires_at())
}

/// In a cart of staff, which waits longer.
fn staff_changed(line: &Line) -> Event {
    put("line_changed", line, NOW.plus(IDLE_MAX))
}

fn removed(code: &str) -> Event {
    event::<Cart>("line_removed", json!({ "sku": code, "expires_at": expires_at() }))
}

#[track_caller]
fn refuses(line: NewLine, expected: Rejection) {
    given::<Cart>([created(true, [])]).when(add(line), NOW).then_rejected(expected);
}

#[test]
fn add_line_takes_the_listing_of_today_for_all_units_of_its_sku() {
    let cart = || vec![created(false, [line("A-1", 2, 129)])];
    let staffs = vec![created(true, [adjusted(line("A-1", 2, 129), -8)])];
    let kept = staff_changed(&adjusted(line("A-1", 3, 129), -8));
    let new = |quantity, price| add(new_line("A-1", quantity, price));
    let becomes = |quantity, price| Ok(vec![changed(&line("A-1", quantity, price))]);
    let first = Ok(vec![added(&line("A-1", 2, 129))]);
    decides::<Cart>([
        ("the listing is copied", vec![created(false, [])], new(2, 129), first),
        ("quantities add up", cart(), new(3, 129), becomes(5, 129)),
        ("the price of today", cart(), new(1, 140), becomes(3, 140)),
        ("earlier adjustments stay", staffs, new(1, 129), Ok(vec![kept])),
    ]);
}

#[test]
fn a_sku_without_a_listing_is_refused() {
    let unknown = NewLine { listing: None, ..new_line("A-1", 1, 129) };
    refuses(unknown, Rejection::SkuNotSellable(sku("A-1")));
}

#[test]
fn quantities_have_bounds() {
    for (staff, max) in [(false, GUEST_QUANTITY_MAX), (true, QUANTITY_MAX)] {
        let expected = || Rejection::Quantity { sku: sku("A-1"), max };
        for quantity in [0, max + 1] {
            given::<Cart>([created(staff, [])])
                .when(add(new_line("A-1", quantity, 129)), NOW)
                .then_rejected(expected());
        }
        given::<Cart>([created(staff, [line("A-1", max, 129)])])
            .when(add(new_line("A-1", 1, 129)), NOW)
            .then_rejected(expected());
    }
}

#[test]
fn another_currency_is_refused() {
    let euros = Listing { price: Money::new(129, Currency::EUR), ..sample::listing() };
    let expected = Rejection::CurrencyDiffers { sku: sku("A-1"), currency: Currency::USD };
    refuses(NewLine { listing: Some(euros), ..new_line("A-1", 1, 129) }, expected.clone());
    let adjustments = vec![Adjustment { amount: Money::new(-1, Currency::EUR), ..adjustment(-1) }];
    refuses(NewLine { adjustments, ..new_line("A-1", 1, 129) }, expected);
}

#[test]
fn amounts_beyond_the_limit_are_refused() {
    refuses(new_line("A-1", 2, LINE_AMOUNT_MAX), Rejection::AmountTooLarge(sku("A-1")));
    refuses(new_line("A-1", 2, i64::MAX), Rejection::AmountTooLarge(sku("A-1")));
    let adjustments = vec![adjustment(-LINE_AMOUNT_MAX)];
    let discounted = NewLine { adjustments, ..new_line("A-1", 2, LINE_AMOUNT_MAX) };
    refuses(discounted, Rejection::AmountTooLarge(sku("A-1")));
    let adjustments = vec![adjustment(i64::MAX)];
    let rising = NewLine { adjustments, ..new_line("A-1", 1, 129) };
    refuses(rising, Rejection::AmountTooLarge(sku("A-1")));
}

#[test]
fn adjustments_may_not_take_off_more_than_the_line_is_worth() {
    let with =
        |amount| NewLine { adjustments: vec![adjustment(amount)], ..new_line("A-1", 1, 129) };
    refuses(with(-130), Rejection::TotalNegative(sku("A-1")));
    let free = put("line_added", &adjusted(line("A-1", 1, 129), -129), NOW.plus(IDLE_MAX));
    given::<Cart>([created(true, [])]).when(add(with(-129)), NOW).then([free]);
}

#[test]
fn text_has_a_limit_over_all_lines() {
    let reason = "x".repeat(LINES_BYTES_MAX / 4);
    let long = || vec![Adjustment { reason: reason.clone(), ..adjustment(-1) }];
    let with = |code| NewLine { adjustments: long(), ..new_line(code, 1, 129) };
    let first = |staff| created(staff, [Line { adjustments: long(), ..line("A-1", 1, 129) }]);
    let cart = || given::<Cart>([first(true), added(&line("B-1", 1, 129))]);
    for command in [
        add(with("C-1")),
        add(with("A-1")),
        change("B-1", 1, Some(long())),
        Command::ReplaceLines { lines: vec![with("A-1"), with("B-1")] },
    ] {
        cart().when(command, NOW).then_rejected(Rejection::TooLarge);
    }
    cart().when(change("A-1", 1, Some(vec![])), NOW).then([staff_changed(&line("A-1", 1, 129))]);
    let doubled = Line { adjustments: long(), total: usd(257), ..line("A-1", 2, 129) };
    cart().when(change("A-1", 2, None), NOW).then([staff_changed(&doubled)]);
}

proptest! {
    #[test]
    fn the_size_of_a_line_is_never_underestimated(
        (name, department, kind, reason) in ("\\PC*", "[\"\\\\\n\t]*", "\\PC*", "\\PC*"),
        adjustments in 0..4_usize,
        (quantity, amount) in (any::<u32>(), prop_oneof![Just(-LINE_AMOUNT_MAX), any::<i64>()]),
    ) {
        let amount = usd(amount);
        let adjustments = vec![Adjustment { kind, amount, reason }; adjustments];
        let department = Some(department);
        let line = Line {
            name, department, quantity, unit_price: amount, adjustments, total: amount, ..sample::line()
        };
        let bytes = serde_json::to_string(&line).unwrap().len();
        prop_assert!(bytes <= super::super::line::bytes_max(&line));
    }
}

#[test]
fn adjustments_are_for_staff_carts() {
    let adjustments = vec![adjustment(-1)];
    let line_with = NewLine { adjustments: adjustments.clone(), ..new_line("A-1", 1, 129) };
    for command in [add(line_with.clone()), change("A-1", 1, Some(adjustments))] {
        given::<Cart>([created(false, [line("A-1", 1, 129)])])
            .when(command, NOW)
            .then_rejected(Rejection::AdjustmentsNotAllowed);
    }
    given::<Cart>([])
        .when(create(false, [line_with]), NOW)
        .then_rejected(Rejection::AdjustmentsNotAllowed);
}

#[test]
fn lines_have_a_limit() {
    let codes: Vec<String> = (0..=LINES_MAX).map(|n| format!("S-{n}")).collect();
    let new: Vec<NewLine> = codes.iter().map(|code| new_line(code, 1, 1)).collect();
    let full: Vec<Line> = codes.iter().take(LINES_MAX).map(|code| line(code, 1, 1)).collect();
    given::<Cart>([]).when(create(false, new), NOW).then_rejected(Rejection::TooManyLines);
    given::<Cart>([created(false, full.clone())])
        .when(add(new_line("A-1", 1, 1)), NOW)
        .then_rejected(Rejection::TooManyLines);
    given::<Cart>([created(false, full)])
        .when(add(new_line("S-0", 1, 1)), NOW)
        .then([changed(&line("S-0", 2, 1))]);
}

#[test]
fn change_line_sets_or_keeps_the_adjustments() {
    let cart = || given::<Cart>([created(true, [adjusted(line("A-1", 2, 129), -8)])]);
    cart()
        .when(change("A-1", 3, None), NOW)
        .then([staff_changed(&adjusted(line("A-1", 3, 129), -8))]);
    cart().when(change("A-1", 2, Some(vec![])), NOW).then([staff_changed(&line("A-1", 2, 129))]);
    cart()
        .when(change("A-1", 2, Some(vec![adjustment(-9)])), NOW)
        .then([staff_changed(&adjusted(line("A-1", 2, 129), -9))]);
}

#[test]
fn a_line_changes_at_the_price_that_was_shown_until_it_is_removed() {
    let cart = || vec![created(false, [line("A-1", 2, 129)])];
    let without = || vec![created(false, [line("A-1", 2, 129)]), removed("A-1")];
    let remove = || Command::RemoveLine { sku: sku("A-1") };
    let missing = Rejection::LineNotFound(sku("A-1"));
    let five = changed(&line("A-1", 5, 129));
    decides::<Cart>([
        ("another quantity", cart(), change("A-1", 5, None), Ok(vec![five])),
        ("the same", cart(), change("A-1", 2, None), Ok(vec![])),
        ("not there", without(), change("A-1", 2, None), Err(missing)),
        ("quantity zero", cart(), change("A-1", 0, None), Ok(vec![removed("A-1")])),
        ("removed", cart(), remove(), Ok(vec![removed("A-1")])),
        ("removed again", without(), remove(), Ok(vec![])),
    ]);
}

#[test]
fn replace_lines_replaces_all_and_merges_those_of_one_sku() {
    let replace = || Command::ReplaceLines {
        lines: vec![new_line("B-1", 1, 50), new_line("C-1", 1, 10), new_line("B-1", 2, 50)],
    };
    let lines = vec![line("B-1", 3, 50), line("C-1", 1, 10)];
    let data = json!({ "lines": lines, "expires_at": expires_at() });
    let replaced = event::<Cart>("lines_replaced", data);
    given::<Cart>([created(false, [line("A-1", 2, 129)])])
        .when(replace(), NOW)
        .then([replaced.clone()]);
    given::<Cart>([created(false, []), replaced]).when(replace(), NOW).then([]);
}
