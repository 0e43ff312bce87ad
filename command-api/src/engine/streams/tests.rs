//! Whatever the size of the cache and the moments of saving, the same aggregates are found.

use std::time::Duration;

use domain::{
    StreamType,
    aggregate::Aggregate,
    cart::Cart,
    stock::Stock,
    testing::{self, NOW},
};
use infra::log::{self, Checkpoint, record::EventRecord};
use proptest::{prelude::*, sample::select};
use serde_json::json;

use super::{
    super::store::{Batch, MemoryStore},
    *,
};

/// Streams over one store, and the same without a limit, which are never saved.
struct Pair {
    store: Arc<MemoryStore>,
    small: Streams,
    whole: Streams,
    seq: u64,
    under_way: Vec<(StreamId, u64, Event)>,
}

#[derive(Clone, Debug)]
enum Step {
    Replay {
        stream: u8,
        event: prop::sample::Index,
    },
    Unreadable {
        stream: u8,
    },
    Speculate {
        stream: u8,
        event: prop::sample::Index,
    },
    Confirm,
    DropSpeculation,
    Take,
    Saved,
    /// The process ends with all that is not saved; the log tells that again.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let event = any::<prop::sample::Index>();
    prop_oneof![
        4 => (0..6_u8, event).prop_map(|(stream, event)| Step::Replay { stream, event }),
        1 => (5..6_u8).prop_map(|stream| Step::Unreadable { stream }),
        4 => (0..6_u8, any::<prop::sample::Index>())
            .prop_map(|(stream, event)| Step::Speculate { stream, event }),
        3 => Just(Step::Confirm),
        1 => Just(Step::DropSpeculation),
        2 => Just(Step::Take),
        2 => Just(Step::Saved),
        1 => Just(Step::Restart),
    ]
}

fn id(stream: u8) -> StreamId {
    let kind = [StreamType::Cart, StreamType::Stock, StreamType::Payment][usize::from(stream % 3)];
    StreamId::new(kind, stream)
}

fn unreadable() -> EventRecord {
    log::sample::event(log::sample::PLACE, 1)
}

fn event(stream: u8, pick: &prop::sample::Index) -> Event {
    let kind = id(stream).stream_type().unwrap();
    let of_kind: Vec<Event> =
        Event::samples().into_iter().filter(|event| event.stream_type() == kind).collect();
    pick.get(&of_kind).clone()
}

impl Pair {
    fn new(cache_bytes: usize) -> Self {
        let store = Arc::new(MemoryStore::default());
        let small = Streams::new(store.clone(), cache_bytes);
        let whole = Streams::new(Arc::new(MemoryStore::default()), usize::MAX);
        Self { store, small, whole, seq: 0, under_way: Vec::new() }
    }

    fn step(&mut self, step: Step, cache_bytes: usize) {
        match step {
            // What is replayed ends what was under way for the stream.
            Step::Replay { stream, event: pick } => {
                self.drop_speculation();
                let event = event(stream, &pick);
                self.both(|it| it.replay(&id(stream), Ok(std::slice::from_ref(&event)), 10));
            }
            Step::Unreadable { stream } => {
                self.drop_speculation();
                self.both(|it| it.replay(&id(stream), Err(UnreadEvent::of(&unreadable())), 10));
            }
            Step::Speculate { stream, event: pick } => {
                self.seq += 1;
                let event = event(stream, &pick);
                let seq = self.seq;
                self.both(|it| it.speculate(&id(stream), seq, std::slice::from_ref(&event)));
                self.under_way.push((id(stream), seq, event));
            }
            Step::Confirm if self.under_way.is_empty() => {}
            Step::Confirm => {
                let (id, seq, event) = self.under_way.remove(0);
                self.both(|it| it.confirm(&id, seq, std::slice::from_ref(&event), 10));
            }
            Step::DropSpeculation => self.drop_speculation(),
            Step::Take => self.take(),
            Step::Saved => self.save(),
            Step::Restart => {
                self.drop_speculation();
                self.save();
                self.take();
                self.save();
                self.small = Streams::new(self.store.clone(), cache_bytes);
            }
        }
    }

    fn both(&mut self, change: impl Fn(&mut Streams)) {
        change(&mut self.small);
        change(&mut self.whole);
    }

    fn drop_speculation(&mut self) {
        for (id, ..) in std::mem::take(&mut self.under_way) {
            self.both(|it| it.drop_speculation(&id));
        }
    }

    /// The batch is in the store at once, but the streams are not told yet.
    fn take(&mut self) {
        if !self.small.taken.ids.is_empty() {
            return;
        }
        let batch = Batch {
            checkpoint: Checkpoint::START,
            states: self.small.take_changed(),
            outcomes: Vec::new(),
            forget_before: NOW,
        };
        self.store.write(&batch).unwrap();
    }

    fn save(&mut self) {
        let taken = self.small.taken.ids.len();
        self.small.saved(&vec![100; taken]);
    }

    fn compare(&mut self) -> Result<(), TestCaseError> {
        for stream in 0..6 {
            let id = id(stream);
            let [small, whole] = [&mut self.small, &mut self.whole];
            prop_assert_eq!(small.confirmed(&id), whole.confirmed(&id));
            let newest = |state: &State, revision| (state.clone(), revision);
            prop_assert_eq!(small.decide(&id, newest), whole.decide(&id, newest));
        }
        let far = NOW.plus(Duration::from_hours(10_000));
        prop_assert_eq!(self.small.due(far, 100), self.whole.due(far, 100));
        prop_assert_eq!(self.small.next_deadline(), self.whole.next_deadline());
        prop_assert!(self.small.take_failure().is_none());
        Ok(())
    }
}

proptest! {
    #[test]
    fn a_small_cache_changes_nothing(
        cache_bytes in select(vec![0, 900, 100_000]),
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let mut pair = Pair::new(cache_bytes);
        for step in steps {
            pair.step(step, cache_bytes);
            pair.compare()?;
        }
    }
}

#[test]
fn what_is_saved_leaves_and_what_is_not_stays() {
    let mut pair = Pair::new(0);
    let event = Stock::samples().remove(0);
    pair.small.replay(&id(1), Ok(&[Event::Stock(event)]), 10);
    assert_eq!((pair.small.len(), pair.small.unsaved_bytes()), (1, 10 + STATE_BYTES));
    pair.take();
    assert_eq!((pair.small.len(), pair.small.unsaved_bytes()), (1, 10 + STATE_BYTES));
    pair.save();
    assert_eq!((pair.small.len(), pair.small.unsaved_bytes()), (0, 0));
    assert_eq!(pair.small.confirmed(&id(1)).unwrap().revision, 1);
}

#[test]
fn what_waits_takes_the_room_of_the_cache_until_it_is_saved() {
    let event = Event::Stock(Stock::samples().remove(0));
    let stocks = |from: u8| (from..from + 4).map(|number| id(3 * number + 1));
    let mut pair = Pair::new(6 * STATE_BYTES);
    stocks(0).for_each(|id| pair.small.replay(&id, Ok(std::slice::from_ref(&event)), 10));
    pair.take();
    pair.save();
    assert_eq!(pair.small.len(), 4, "all that was saved is cached");
    stocks(4).for_each(|id| pair.small.replay(&id, Ok(std::slice::from_ref(&event)), 10));
    pair.take();
    assert_eq!(pair.small.len(), 4 + 1, "a quarter of the room holds one");
    pair.save();
    assert_eq!(pair.small.len(), 4, "as many as there is room for");
}

fn cart(number: u64) -> StreamId {
    StreamId::new(StreamType::Cart, number)
}

fn due_at(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

impl Pair {
    fn create(&mut self, number: u64, expires_at: Timestamp) {
        let data = json!({
            "currency": "USD", "staff": false, "lines": [], "expires_at": expires_at,
        });
        let created = testing::event::<Cart>("created", data);
        self.small.replay(&cart(number), Ok(&[Event::Cart(created)]), 10);
    }

    fn abandon(&mut self, number: u64) {
        let abandoned = testing::event::<Cart>("abandoned", json!({}));
        self.small.replay(&cart(number), Ok(&[Event::Cart(abandoned)]), 10);
    }
}

#[test]
fn more_deadlines_than_the_window_holds_come_due_in_order() {
    const COUNT: u64 = 12_345;
    let mut pair = Pair::new(0);
    for at in (0..COUNT).rev() {
        pair.create(at, due_at(at));
    }
    pair.take();
    pair.save();
    // Beyond the window, and known to nobody but the streams: one goes, one comes.
    pair.abandon(COUNT - 1);
    pair.create(COUNT, due_at(COUNT));
    for at in (0..COUNT - 1).chain([COUNT]) {
        assert_eq!(pair.small.due(due_at(at), 10), [(due_at(at), cart(at))]);
        pair.abandon(at);
    }
    assert_eq!(pair.small.next_deadline(), None);
}
