//! One thing as it was: the events of its stream up to a moment, folded by the very fold that makes its row,
//! and shown as clients see that row.

use chrono::{DateTime, Utc};
use domain::{Event, StreamType, id::StreamId};

use crate::{
    inapplicable::Inapplicable,
    row::{self, Key, Row, Slot},
    sum::Sums,
};

/// A row that can be shown without the view that readers have of it.
pub trait Showing: Row {
    /// The JSON object that a read of the thing answers with.
    ///
    /// # Errors
    /// If a document has no form as JSON.
    fn show(&self, revision: i64) -> Result<String, serde_json::Error>;
}

/// How the things of one type of streams become what is read of them.
#[derive(Clone, Copy, Debug)]
pub struct History {
    pub stream: StreamType,
    begin: fn(&str) -> Option<Box<dyn Past>>,
}

/// A thing on its way through its past.
pub trait Past: Send {
    /// # Errors
    /// If the event does not follow from those before it.
    fn evolve(
        &mut self,
        event: &Event,
        revision: i64,
        recorded_at: DateTime<Utc>,
    ) -> Result<(), Inapplicable>;

    /// As it is shown, with its revision; none before its first event and once it is gone.
    ///
    /// # Errors
    /// If a document has no form as JSON.
    fn shown(&self) -> Result<Option<(i64, String)>, serde_json::Error>;
}

impl History {
    #[must_use]
    pub const fn of<R: Showing>(stream: StreamType) -> Self {
        let begin = |key: &str| {
            let held = R::Key::parse(key).map(row::hold::<R>);
            held.map(|held| -> Box<dyn Past> { Box::new(held) })
        };
        Self { stream, begin }
    }

    /// The thing before its first event; none if it can be none of these.
    #[must_use]
    pub fn begin(&self, stream: &StreamId) -> Option<Box<dyn Past>> {
        if stream.stream_type() != Some(self.stream) {
            return None;
        }
        (self.begin)(stream.key())
    }
}

impl<R: Showing> Past for row::Held<R> {
    fn evolve(
        &mut self,
        event: &Event,
        revision: i64,
        recorded_at: DateTime<Utc>,
    ) -> Result<(), Inapplicable> {
        // What it adds to rows that many things share is nothing of its own.
        Slot::evolve(self, event, revision, recorded_at, &mut Sums::default())
    }

    fn shown(&self) -> Result<Option<(i64, String)>, serde_json::Error> {
        let shown = |(row, revision): &(R, i64)| Ok((*revision, row.show(*revision)?));
        self.row.as_ref().map(shown).transpose()
    }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeSeed;
    use serde_json::{Value, json};

    use super::*;
    use crate::{carts, stock, testing::recorded_at};

    /// What a thing is after each of its events.
    fn lives(history: &History, stream: &str, events: &[Value]) -> Vec<Option<(i64, Value)>> {
        let stream: StreamId = stream.parse().expect("a stream");
        let mut past = history.begin(&stream).expect("a thing of that type");
        let mut lives = Vec::new();
        for (revision, event) in (1..).zip(events) {
            let event = history.stream.deserialize(event).expect("an event of the stream");
            past.evolve(&event, revision, recorded_at(revision)).expect("one that applies");
            let shown = past.shown().expect("a document");
            let parsed = |(revision, text): (i64, String)| {
                (revision, serde_json::from_str(&text).expect("JSON"))
            };
            lives.push(shown.map(parsed));
        }
        lives
    }

    #[test]
    fn a_thing_is_what_its_events_so_far_have_made_of_it() {
        let received =
            |quantity: u32| json!({ "type": "received", "data": { "quantity": quantity } });
        let shown = |revision, on_hand| {
            let stock =
                json!({ "sku": "A", "on_hand": on_hand, "reserved": 0, "available": on_hand });
            Some((revision, stock))
        };
        let lives = lives(&stock::HISTORY, "stock/A", &[received(3), received(4)]);
        assert_eq!(lives, [shown(1, 3), shown(2, 7)]);
    }

    #[test]
    fn what_is_gone_is_not_shown() {
        let created = json!({ "type": "created", "data": { "currency": "USD", "staff": false, "lines": [],
            "expires_at": "2026-02-07T12:00:00Z" } });
        let abandoned = json!({ "type": "abandoned", "data": {} });
        let id = "cart/01890a5d-ac96-774b-bcce-b302099a8057";
        let lives = lives(&carts::HISTORY, id, &[created, abandoned]);
        assert_eq!(lives[0].as_ref().expect("a cart").1["status"], "open");
        assert_eq!(lives[1], None);
    }

    #[test]
    fn a_thing_of_another_type_or_without_a_key_has_no_past_here() {
        for stream in ["order/A", "sku/A"] {
            assert!(stock::HISTORY.begin(&stream.parse().unwrap()).is_none(), "{stream}");
        }
        assert!(carts::HISTORY.begin(&"cart/no-uuid".parse().unwrap()).is_none());
    }
}
