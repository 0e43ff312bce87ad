use domain::{
    id::Sku,
    timestamp::{Day, Timestamp},
};
use proptest::prelude::*;
use regex::Regex;
use serde_json::Value as Json;
use utoipa::PartialSchema;

use super::*;
use crate::http::{fields::is_forbidden, shapes};

fn schema<T: PartialSchema>() -> Json {
    serde_json::to_value(T::schema()).unwrap()
}

/// Whether a contract lets a text through, as far as pattern and lengths go.
fn shows(schema: &Json, text: &str) -> bool {
    let pattern = Regex::new(schema["pattern"].as_str().unwrap()).unwrap();
    let count = u64::try_from(text.chars().count()).unwrap();
    let max = schema["maxLength"].as_u64().unwrap_or(u64::MAX);
    pattern.is_match(text) && (schema["minLength"].as_u64().unwrap_or(0)..=max).contains(&count)
}

/// Whether a text is taken, where it would stand in a document.
fn takes(fault: Option<Fault>, text: &str) -> bool {
    fault.is_none() && !text.chars().any(is_forbidden)
}

fn email(text: &str) -> Email {
    serde_json::from_value(text.into()).unwrap()
}

#[track_caller]
fn check_email(text: &str, expected: bool) {
    assert_eq!(takes(email(text).fault(), text), expected, "{text:?}");
    assert_eq!(shows(&schema::<Email>(), text), expected, "{text:?}");
}

#[test]
fn an_email_has_a_name_and_a_host() {
    for good in ["ada@example.org", "ada+shop@mail.example.org", "ä@ü.ö"] {
        check_email(good, true);
    }
    for bad in [
        "",
        "ada",
        "@example.org",
        "ada@",
        "ada@host",
        "a b@c.de",
        "a@b@c.de",
        "a@b..de",
        "a@.de",
        "a@b.",
        "a@b.d\u{a0}e",
        "a\0@b.de",
    ] {
        check_email(bad, false);
    }
    let long = |length| format!("{}@example.org", "x".repeat(length));
    check_email(&long(242), true);
    check_email(&long(243), false);
}

#[test]
fn a_whole_number_is_the_same_however_it_is_written() {
    let read = |text| serde_json::from_str::<Whole<i64, -5, { i64::MAX }>>(text);
    for five in ["5", "5.0", "0.5e1", "500E-2"] {
        assert_eq!(read(five).unwrap().get(), 5, "{five}");
    }
    assert_eq!(read("-0.0").unwrap().get(), 0);
    assert_eq!(read("9007199254740993.0").unwrap().get(), 9_007_199_254_740_993);
    for (text, part) in [
        ("5.5", "decimal"),
        ("5.00000000000000000001", "decimal"),
        ("1e-400", "decimal"),
        ("\"5\"", "text"),
        ("9223372036854775808", "out of range"),
        ("1e99", "out of range"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[track_caller]
fn check_text(text: &str, [needed, blank]: [bool; 2]) {
    assert_eq!(takes(Text::<3>::judge(text), text), needed, "{text:?}");
    assert_eq!(shows(&schema::<Text<3>>(), text), needed, "{text:?}");
    assert_eq!(takes(Text::<3, 0>::judge(text), text), blank, "{text:?}");
    assert_eq!(shows(&schema::<Text<3, 0>>(), text), blank, "{text:?}");
}

#[test]
fn a_text_is_counted_in_characters_and_is_not_blank() {
    check_text("ab", [true, true]);
    check_text("äöü", [true, true]);
    check_text(" a\n", [true, true]);
    check_text("abcd", [false, false]);
    check_text("", [false, true]);
    check_text(" \t\u{3000}", [false, true]);
    check_text("a\r", [false, false]);
    check_text("\u{85}", [false, false]);
}

#[test]
fn a_whole_number_shows_the_bounds_that_it_is_held_to() {
    type Dozen = Whole<u32, 1, 12>;
    let read = |number: u32| serde_json::from_str::<Dozen>(&number.to_string());
    let fault = |number: u32| read(number).unwrap().fault();
    assert_eq!([1, 12].map(|number| fault(number).is_none()), [true, true]);
    assert_eq!(
        [0, 13].map(|number| fault(number).map(|(code, _)| code)),
        [Some("out_of_range"); 2]
    );
    let schema = schema::<Dozen>();
    assert_eq!((schema["minimum"].as_i64(), schema["maximum"].as_i64()), (Some(1), Some(12)));
}

proptest! {
    #[test]
    fn what_is_shown_of_texts_is_what_is_checked(text in any::<String>(), near in "[ \t\r@.ab\u{85}\u{a0}]{0,5}") {
        for text in [text, near] {
            prop_assert_eq!(shows(&schema::<Text<3>>(), &text), takes(Text::<3>::judge(&text), &text));
            prop_assert_eq!(shows(&schema::<Text<3, 0>>(), &text), takes(Text::<3, 0>::judge(&text), &text));
            prop_assert_eq!(shows(&schema::<Email>(), &text), takes(email(&text).fault(), &text));
        }
    }

    #[test]
    fn what_is_shown_of_codes_is_what_is_parsed(text in "[.A-z0-9 -]{0,66}") {
        let sku = text.parse::<Sku>().ok();
        prop_assert_eq!(shows(&schema::<shapes::Sku>(), &text), sku.is_some());
        let is_new = sku.is_some_and(|sku| sku.fits_a_path());
        prop_assert_eq!(shows(&schema::<shapes::NewSku>(), &text), is_new);
    }

    #[test]
    fn no_time_is_parsed_whose_form_is_not_shown(
        text in "[0-9]{3}[0-9 ]-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{0,8})?([Zz]|[+-][0-9]{2}:?[0-9]{2})",
    ) {
        let day = &text[..10];
        prop_assert!(text.parse::<Timestamp>().is_err() || shows(&schema::<shapes::Instant>(), &text));
        prop_assert!(day.parse::<Day>().is_err() || shows(&schema::<shapes::CalendarDay>(), day));
    }
}
