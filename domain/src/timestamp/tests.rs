use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(text: &str, expected: &str) {
    let at: Timestamp = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(at.to_string(), expected, "{text}");
}

#[track_caller]
fn refused(text: &str, expected: InvalidTime) {
    assert_eq!(text.parse::<Timestamp>(), Err(expected), "{text}");
}

#[test]
fn text_has_microseconds_and_utc() {
    check("2026-01-31T13:00:00.5+01:00", "2026-01-31T12:00:00.500000Z");
    check("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000000Z");
    check("2026-01-31t12:00:00.25z", "2026-01-31T12:00:00.250000Z");
    check("2026-01-31T00:30:00-23:59", "2026-02-01T00:29:00.000000Z");
    check("2026-01-31T12:00:00-00:00", "2026-01-31T12:00:00.000000Z");
    check("2024-02-29T12:00:00Z", "2024-02-29T12:00:00.000000Z");
}

#[test]
fn digits_beyond_microseconds_are_cut_off() {
    check("2026-01-31T12:00:00.123456999Z", "2026-01-31T12:00:00.123456Z");
    check("1969-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59.999999Z");
    check(&format!("2026-01-31T12:00:00.{}Z", "9".repeat(40)), "2026-01-31T12:00:00.999999Z");
}

#[test]
fn what_rfc_3339_does_not_have_is_refused() {
    for text in [
        "",
        "now",
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-01-31 12:00:00Z",
        "2026-01-31T12:00:00 Z",
        " 2026-01-31T12:00:00Z",
        "2026-01-31T12:00:00Z ",
        "2017-1-5 1:2:3 UTC",
        "2017-1-5T1:2:3Z",
        "2026-01-31T12:00Z",
        "2026-01-31T12:00:00.Z",
        "2026-01-31T12:00:00,5Z",
        "2026-01-31T12:00:00+01",
        "2026-01-31T12:00:00+0100",
        "2026-01-31T12:00:00+1:00",
        "2026-01-31T12:00:00+24:00",
        "2026-01-31T12:00:00+01:60",
        "2026-01-31T12:00:00\u{2212}01:00",
        "2026-01-31T12:00:00UTC",
        "+2026-01-31T12:00:00Z",
        "-2026-01-31T12:00:00Z",
        "+12026-01-31T12:00:00Z",
        "12026-01-31T12:00:00Z",
        "20260131T120000Z",
        "2026-W05-6T12:00:00Z",
        "٢٠٢٦-01-31T12:00:00Z",
    ] {
        refused(text, InvalidTime::Form);
    }
    for text in ["2026-02-30T12:00:00Z", "2025-02-29T12:00:00Z", "2026-13-01T12:00:00Z"] {
        refused(text, InvalidTime::Impossible);
    }
    for text in ["2026-01-31T24:00:00Z", "2026-01-31T12:60:00Z", "2026-01-31T12:00:61Z"] {
        refused(text, InvalidTime::Impossible);
    }
    refused("2016-12-31T23:59:60Z", InvalidTime::LeapSecond);
}

#[test]
fn only_instants_of_the_years_1_to_9999_are_taken_whatever_their_offset() {
    check("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z");
    check("0000-12-31T23:59:59-00:01", "0001-01-01T00:00:59.000000Z");
    check("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z");
    for text in [
        "0000-12-31T23:59:59.999999Z",
        "0001-01-01T00:00:00+00:01",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59-05:00",
        "9999-12-31T23:59:59.999999-00:01",
    ] {
        refused(text, InvalidTime::OutOfRange);
    }
}

#[test]
fn the_range_is_kept_by_every_way_in() {
    assert_eq!(Timestamp::from_micros(i64::MIN), Timestamp::MIN);
    assert_eq!(Timestamp::from_micros(i64::MAX), Timestamp::MAX);
    assert_eq!(Timestamp::from(DateTime::<Utc>::MAX_UTC), Timestamp::MAX);
    assert_eq!(Timestamp::from(DateTime::<Utc>::MIN_UTC), Timestamp::MIN);
    assert_eq!(Timestamp::MAX.plus(Duration::MAX), Timestamp::MAX);
    assert_eq!(Timestamp::MIN.minus(Duration::from_secs(1)), Timestamp::MIN);
    assert_eq!(Timestamp::from_micros(1).since(Timestamp::from_micros(5)), Duration::ZERO);
    check(&Timestamp::MIN.to_string(), "0001-01-01T00:00:00.000000Z");
    check(&Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999999Z");
}

#[test]
fn a_day_has_one_form() {
    for text in ["0001-01-01", "2017-01-31", "2024-02-29", "9999-12-31"] {
        assert_eq!(text.parse::<Day>().unwrap().to_date().to_string(), text);
    }
    let form = ["", "2017-1-5", "-9999-01-01", "+12017-01-05", "2017-01-05 ", "2017/01/05", "now"];
    for text in form {
        assert_eq!(text.parse::<Day>(), Err(InvalidTime::DayForm), "{text}");
    }
    assert_eq!("2025-02-29".parse::<Day>(), Err(InvalidTime::Impossible));
    assert_eq!("0000-12-31".parse::<Day>(), Err(InvalidTime::OutOfRange));
}

proptest! {
    #[test]
    fn what_a_timestamp_holds_its_text_names(micros: i64) {
        let at = Timestamp::from_micros(micros);
        prop_assert_eq!(at.to_string().parse::<Timestamp>(), Ok(at));
        let json = serde_json::to_string(&at).unwrap();
        prop_assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), at);
    }

    #[test]
    fn whatever_is_taken_is_what_others_read_too(
        text in "[0-9]{4}-[01][0-9]-[0-3][0-9][Tt][0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?([Zz]|[+-][0-2][0-9]:[0-5][0-9])"
    ) {
        let other = DateTime::parse_from_rfc3339(&text);
        match text.parse::<Timestamp>() {
            Ok(at) => prop_assert_eq!(Timestamp::from(other.unwrap().to_utc()), at),
            Err(InvalidTime::OutOfRange) => prop_assert!(other.is_ok()),
            Err(_) => prop_assert!(other.is_err()),
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,40}") {
        let range = Timestamp::MIN..=Timestamp::MAX;
        prop_assert!(text.parse::<Timestamp>().ok().is_none_or(|at| range.contains(&at)));
        prop_assert!(text.parse::<Day>().ok().is_none_or(|day| day >= "0001-01-01".parse().unwrap()));
    }
}
