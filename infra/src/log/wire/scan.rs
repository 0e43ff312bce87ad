//! Reads an event's envelope as our writers put it, several times as fast as the general parser does.
//!
//! Only that form is taken: attributes in their order, without space between them, no escape in a text.
//! Everything else is for the general parser, so this decides nothing about a record.
//!
//! **Invariant:** where this reads an envelope, the general parser reads the same one.

use serde_json::value::RawValue;

use super::{Envelope, LOG_VERSION, SOURCE, SPEC_VERSION, Text};

/// What an event of this scheme begins with; a test holds it against the names and constants.
const HEAD: &str = r#"{"specversion":"1.0","logversion":2,"kind":"event","id":""#;
const AFTER_ID: &str = r#","source":"/tradewind","type":""#;

/// `None` if the envelope is of another form, valid or not.
pub(super) fn event(envelope: &str) -> Option<Envelope<'_>> {
    let mut ahead = Ahead(envelope);
    ahead.pass(HEAD)?;
    let id = ahead.text();
    ahead.pass(AFTER_ID)?;
    // Struct expressions are evaluated as they are written, which is the order of the attributes.
    let envelope = Envelope {
        specversion: Some(SPEC_VERSION.into()),
        logversion: Some(LOG_VERSION),
        kind: Some("event".into()),
        id: Some(id?),
        source: Some(SOURCE.into()),
        r#type: Some(ahead.text()?),
        subject: ahead.text_of(r#","subject":""#)?,
        time: ahead.text_of(r#","time":""#)?,
        epoch: ahead.number_of(r#","epoch":"#)?,
        claim: ahead.text_of(r#","claim":""#)?,
        seq: ahead.number_of(r#","seq":"#)?,
        index: ahead.number_of(r#","index":"#)?,
        count: ahead.number_of(r#","count":"#)?,
        revision: ahead.number_of(r#","revision":"#)?,
        commandid: ahead.text_of(r#","commandid":""#)?,
        correlationid: ahead.text_of(r#","correlationid":""#)?,
        causationid: ahead.text_of(r#","causationid":""#)?,
        actor: ahead.text_of(r#","actor":""#)?,
        traceparent: ahead.text_of(r#","traceparent":""#)?,
        requesthash: ahead.text_of(r#","requesthash":""#)?,
        data: Some(ahead.data()?),
    };
    Some(envelope)
}

/// What has not been read yet.
struct Ahead<'a>(&'a str);

impl<'a> Ahead<'a> {
    fn pass(&mut self, expected: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(())
    }

    /// The rest of a text whose quote has been passed.
    fn text(&mut self) -> Option<Text<'a>> {
        let (text, rest) = self.0.split_once('"')?;
        // An escape would have to be resolved, and a control character is none of JSON. All bytes are looked
        // at, which a processor does many at a time.
        let is_plain = |byte: u8| byte >= b' ' && byte != b'\\';
        if !text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
            return None;
        }
        self.0 = rest;
        Some(text.into())
    }

    /// The text of an attribute, if that comes next. `None` where it cannot be read here.
    fn text_of(&mut self, name: &str) -> Option<Option<Text<'a>>> {
        match self.pass(name) {
            Some(()) => self.text().map(Some),
            None => Some(None),
        }
    }

    /// Likewise a whole number that fits.
    fn number_of<N: TryFrom<u64>>(&mut self, name: &str) -> Option<Option<N>> {
        match self.pass(name) {
            Some(()) => self.number().map(Some),
            None => Some(None),
        }
    }

    fn number<N: TryFrom<u64>>(&mut self) -> Option<N> {
        let end = self.0.bytes().position(|byte| !byte.is_ascii_digit())?;
        let (digits, rest) = self.0.split_at_checked(end)?;
        // JSON has no number that begins with a zero but 0 itself.
        if digits.len() > 1 && digits.starts_with('0') {
            return None;
        }
        self.0 = rest;
        N::try_from(digits.parse().ok()?).ok()
    }

    /// The data, which come last.
    fn data(&mut self) -> Option<&'a RawValue> {
        self.pass(r#","data":"#)?;
        let data: &RawValue = serde_json::from_str(self.0.strip_suffix('}')?).ok()?;
        // In general that is as if there were none.
        (data.get() != "null").then_some(data)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::log::{
        Nonce, OutgoingRecord, Place, RequestHash, record::EventRecord, sample, wire,
    };

    fn written(record: EventRecord) -> String {
        let mut value = Vec::new();
        wire::encode(&OutgoingRecord::Event(Box::new(record)), &mut value).unwrap();
        String::from_utf8(value).unwrap()
    }

    fn sample(place: Place) -> EventRecord {
        sample::event(place, 5)
    }

    fn full() -> EventRecord {
        let place = Place { epoch: 12, claim: Nonce(7), seq: 34, index: 1, count: 2 };
        let mut event = sample(place);
        event.provenance.correlation_id = domain::id::CorrelationId::new(uuid::Uuid::from_u128(6));
        event.provenance.causation_id = domain::id::CausationId::new(uuid::Uuid::from_u128(7));
        event.provenance.traceparent = Some("00-11-22-01".into());
        event.request_hash = Some(RequestHash([0xab; 16]));
        event.value = r#"{"quantity":2,"sku":"tea-1"}"#.into();
        event
    }

    /// What both make of an envelope; none where this leaves it to the general parser.
    #[track_caller]
    fn agrees(envelope: &str) -> Option<Value> {
        let json = |envelope: &Envelope<'_>| serde_json::to_value(envelope).unwrap();
        event(envelope).map(|read| {
            let data = read.data.map(RawValue::get);
            let general: Envelope<'_> = serde_json::from_str(envelope).expect("is read in general");
            assert_eq!(json(&read), json(&general), "{envelope}");
            assert_eq!(data, general.data.map(RawValue::get), "{envelope}");
            json(&read)
        })
    }

    #[test]
    fn what_our_writers_write_is_read_here() {
        for index in [0, 1] {
            let place = Place { epoch: 0, claim: Nonce(1), seq: 1, index, count: index + 1 };
            assert!(agrees(&written(sample(place))).is_some());
        }
        assert_eq!(agrees(&written(full())).unwrap()["index"], 1);
        assert!(written(full()).starts_with(HEAD));
    }

    #[test]
    fn another_form_is_left_to_the_general_parser() {
        let text = written(full());
        let replaced = [
            (r#""id":"#, r#""id" :"#),
            (r#","claim":"#, r#", "claim":"#),
            (r#""event""#, r#""barrier""#),
            (r#""logversion":2"#, r#""logversion":3"#),
            (r#""1.0""#, r#""0.3""#),
            ("/tradewind", "/elsewhere"),
            ("guest", r"gu\u0065st"),
            ("guest", "gu\nst"),
            (r#""seq":34"#, r#""seq":034"#),
            (r#""seq":34"#, r#""seq":34.0"#),
            (r#""seq":34"#, r#""seq":-34"#),
            (r#""seq":34"#, r#""seq":3e1"#),
            (r#""seq":34"#, r#""seq":null"#),
            (r#""seq":34"#, r#""seq":"34""#),
            (r#""seq":34"#, r#""seq":18446744073709551616"#),
            (r#""epoch":12"#, r#""epoch":9223372036854775808"#),
            (r#""index":1"#, r#""index":4294967296"#),
            (r#""seq":34"#, r#""seq":34,"seq":34"#),
            (r#""seq":34"#, r#""seq":34,"more":1"#),
            (r#""data":{"#, r#""data":[}"#),
            (r#""data":{"quantity":2,"sku":"tea-1"}"#, r#""data":null"#),
            (r#""data":{"#, r#""data":{},"more":{"#),
            (r#""data":{"#, r#""more":{"#),
        ];
        for (from, to) in replaced {
            let other = text.replacen(from, to, 1);
            assert_ne!(other, text, "{from}");
            assert!(event(&other).is_none(), "{other}");
        }
        for end in 0..text.len() {
            assert!(event(&text[..end]).is_none(), "{end}");
        }
        for behind in [" ", "}", "{}", ","] {
            assert!(event(&format!("{text}{behind}")).is_none(), "{behind:?}");
        }
    }

    #[test]
    fn space_around_data_is_none_of_them() {
        let text = written(full());
        let spaced = text.replacen(r#""data":"#, r#""data": "#, 1).replace("}}", "}\n}");
        assert!(agrees(&spaced).is_some());
    }

    proptest! {
        #[test]
        fn whatever_is_read_here_is_read_in_general_the_same(
            at in 0_usize..700,
            length in 0_usize..9,
            other in r#"[ -~]{0,8}|[{}\[\]":,0-9\\a\n]{0,8}"#,
        ) {
            let mut text = written(full());
            let (at, end) = (at.min(text.len()), (at + length).min(text.len()));
            text.replace_range(at..end, &other);
            agrees(&text);
        }
    }
}
