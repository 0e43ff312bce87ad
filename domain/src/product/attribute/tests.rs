use proptest::prelude::*;

use super::*;

#[track_caller]
fn kept(text: &str, expected: &str) {
    let number = Number::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(serde_json::to_string(&number).unwrap(), expected, "{text}");
}

#[track_caller]
fn refused(text: &str, expected: InvalidNumber) {
    assert_eq!(Number::parse(text), Err(expected), "{text}");
}

#[test]
fn a_whole_number_has_one_form() {
    for text in ["1", "1.0", "1e0", "10e-1", "0.1e1", "1.000", "1E+0"] {
        kept(text, "1");
    }
    for text in ["0", "-0", "0.0", "-0.0e7", "0e99999999999999999999"] {
        kept(text, "0");
    }
    kept("1e17", "100000000000000000");
    kept("2.56e16", "25600000000000000");
    kept("9007199254740993", "9007199254740993");
    kept("9223372036854775807", "9223372036854775807");
    kept("-9223372036854775808", "-9223372036854775808");
}

#[test]
fn a_decimal_keeps_its_digits() {
    kept("0.1", "0.1");
    kept("-3.50", "-3.5");
    kept("1e-22", "1e-22");
    kept("12345678901234.5", "12345678901234.5");
    kept("0.000000123456789012345", "1.23456789012345e-7");
}

#[test]
fn what_would_come_back_as_another_number_is_refused() {
    for text in [
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "1e19",
        "1.7976931348623157e308",
        "1e400",
        "-1e400",
        "1e99999999999999999999",
        "1e-23",
        "5e-324",
        "1e-99999999999999999999",
    ] {
        refused(text, InvalidNumber::OutOfRange);
    }
    for text in [
        "0.1000000000000000055511151231257827",
        "0.10000000000000001",
        "9007199254740992.5",
        "3.141592653589793238",
    ] {
        let expected =
            if text.len() > 25 { InvalidNumber::OutOfRange } else { InvalidNumber::TooLong };
        refused(text, expected);
    }
    for text in ["", "-", "x", "1x", ".5", "1e", "1e1.5", "NaN", "Infinity", "0x1"] {
        refused(text, InvalidNumber::Form);
    }
}

#[test]
fn what_earlier_releases_stored_is_read() {
    for (stored, expected) in [
        ("1.0", "1"),
        ("1e17", "100000000000000000"),
        ("18446744073709551615", "18446744073709551615"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("-0.0", "0"),
        ("\"a\"", "\"a\""),
        ("true", "true"),
    ] {
        let attribute: Attribute = serde_json::from_str(stored).unwrap();
        assert_eq!(serde_json::to_string(&attribute).unwrap(), expected, "{stored}");
    }
}

/// A number as PostgreSQL's `jsonb` writes it: digits, and no exponent.
fn as_jsonb(number: &Number) -> String {
    let text = number.0.to_string();
    match number.0.as_f64() {
        Some(double) if number.0.is_f64() => double.to_string(),
        _ => text,
    }
}

proptest! {
    #[test]
    fn an_accepted_number_comes_back_by_every_way(
        text in prop_oneof![
            "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
            any::<f64>().prop_filter("JSON has no others", |it| it.is_finite()).prop_map(|it| it.to_string()),
            any::<i64>().prop_map(|it| it.to_string()),
        ]
    ) {
        let Ok(number) = Number::parse(&text) else { return Ok(()) };
        let attribute = Attribute::Number(number.clone());
        let json = serde_json::to_string(&attribute).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Attribute>(&json).unwrap(), &attribute);
        prop_assert_eq!(&serde_json::from_str::<Attribute>(&as_jsonb(&number)).unwrap(), &attribute);
        let decimal = |text: &str| Decimal::of(text).map(|it| (it.negative, it.digits, it.exponent));
        prop_assert_eq!(decimal(&text), decimal(&json));
        prop_assert_eq!(Number::parse(&json), Ok(number));
    }

    #[test]
    fn fifteen_digits_are_always_kept(digits in 1_i64..1_000_000_000_000_000, places in 0_u32..=22) {
        let text = format!("{digits}e-{places}");
        prop_assert!(Number::parse(&text).is_ok(), "{}", text);
    }
}
