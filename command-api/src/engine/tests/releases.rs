//! A log and stores that other releases have written.

use domain::{
    addressed::Addressed,
    aggregate::Aggregate,
    api_key::{self, ApiKeyId},
    cart,
    id::{CartId, CommandId, StreamId},
    money::Currency,
    testing::golden::{self, Golden},
};
use infra::{
    codec,
    log::{EventRecord, owner::Owner, sample},
};

use super::{
    super::Submission,
    restart::{Watched, found, on_hand, ran, receive_all},
    *,
};

fn create_cart(id: CartId) -> Submission {
    let create = cart::Command::Create { currency: Currency::USD, staff: true, lines: vec![] };
    let addressed = Addressed::to::<cart::Cart>(&id, create);
    Submission::new(addressed, CommandId::new(Uuid::from_u128(100)), "test".into())
}

#[tokio::test]
async fn another_fold_of_one_aggregate_folds_its_streams_anew_and_no_others() {
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(1));
    let (folder, cart) = (tempfile::tempdir().expect("a folder"), CartId::new(Uuid::from_u128(7)));
    let first = Running::with(&log, &on_disk(&folder));
    receive_all(&first, 1..=5).await;
    submit(&first.engine, create_cart(cart)).await.expect("an answer");
    first.stop().await;
    // Whoever reads these entries finds that they are none.
    for stream in [code("A").stock_stream(), cart.stream()] {
        on_disk(&folder).spoil_state(ONLY, &stream);
    }
    on_disk(&folder).outdate(ONLY, "stock");

    let second = Running::with(&log, &on_disk(&folder));
    assert_eq!(on_hand(&second).await, 5);
    let cart = second.engine.read::<cart::Cart>(&cart, Consistency::Linearizable).await;
    assert_eq!(cart.map(|cart| cart.revision), Err(ReadError::StreamUnreadable));
    // What was answered is remembered all the same.
    let again = submit(&second.engine, receive("A", 5)).await.expect("an answer");
    assert!(again.replayed);
    submit(&second.engine, receive("A", 6)).await.expect("an answer");
    second.stop().await;

    assert_eq!(found(&log, &on_disk(&folder)).await, 6);
}

/// Writes a commit of one event, which this release would not write.
async fn as_another_release(log: &dyn EventLog, stream: &StreamId, event_type: &str, data: String) {
    let (stream, event_type, value) = (stream.clone(), event_type.into(), data.into());
    let event = EventRecord { stream, event_type, value, ..sample::event(sample::PLACE, 200) };
    let mut owner = Owner::claim(log, ONLY).await.expect("a shard");
    owner.commit(vec![event]).await.expect("an offset");
    owner.finish().await.expect("an event in the log");
}

#[tokio::test]
async fn commits_of_an_aggregate_that_only_a_later_release_has_count_among_the_others() {
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(1));
    let stream = "gift_card/1".parse().expect("a stream");
    as_another_release(&*log, &stream, "tradewind.gift_card.issued.v1", "{}".to_owned()).await;
    let folder = tempfile::tempdir().expect("a folder");
    for key in [1, 2] {
        let running = Running::with(&log, &on_disk(&folder));
        let answer = submit(&running.engine, receive("A", key)).await.expect("an answer");
        assert!(matches!(answer.outcome, Outcome::Committed { .. }), "{answer:?}");
        running.stop().await;
    }
    // All readers agree on all three.
    let committed = committed(&*log).await;
    assert_eq!(committed.into_iter().collect::<Vec<_>>(), [(1, 1), (2, 1), (200, 1)]);
}

#[tokio::test]
async fn a_log_that_holds_two_versions_of_an_event_is_read_as_one() {
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(1));
    let [old, new] = [1, 2].map(|n| ApiKeyId::new(Uuid::from_u128(n)));
    let data = |version| {
        let shape = |it: &Golden| (&*it.event, it.version) == ("issued", version);
        golden::all().into_iter().find(shape).expect("a golden file").data
    };
    as_another_release(&*log, &old.stream(), "tradewind.api_key.issued.v1", data(1)).await;
    let running = Running::on(&log);
    let Some(api_key::Event::Issued { name, roles, hash, .. }) =
        api_key::ApiKey::samples().into_iter().next()
    else {
        panic!("a sample")
    };
    // Of the sample that has passed, and no new key may have expired.
    let issue = api_key::Command::Issue { name, roles, hash, expires_at: None };
    let addressed = Addressed::to::<api_key::ApiKey>(&new, issue);
    let command_id = CommandId::new(Uuid::from_u128(9));
    let answer = submit(&running.engine, Submission::new(addressed, command_id, "test".into()));
    let Outcome::Committed { events, .. } = answer.await.expect("an answer").outcome else {
        panic!("it is committed")
    };
    assert_eq!(&*events[0].event_type, "tradewind.api_key.issued.v2");
    let read = |id| {
        let engine = &running.engine;
        async move { engine.read::<api_key::ApiKey>(&id, Consistency::Linearizable).await }
    };
    let [old, new] = [read(old).await, read(new).await].map(|read| {
        let key = read.expect("a state").state;
        let api_key::Issued { name, roles, hash, .. } = key.issued.clone().expect("it is issued");
        (name, roles, hash)
    });
    assert_eq!(old, new);
    running.stop().await;
}

/// Whatever the state is by then: all that was ever stored can be folded.
#[test]
fn every_stored_shape_of_every_event_folds() {
    for golden in golden::all() {
        let stream = StreamId::new(golden.stream_type, 1);
        let event_type = golden.event_type().into();
        let event = codec::decode_value(&event_type, &stream, golden.data.as_bytes());
        let event = event.unwrap_or_else(|error| panic!("{event_type}: {error}"));
        assert!(golden.stream_type.empty().evolve(&event), "{event_type}");
    }
}

#[tokio::test]
async fn states_that_were_folded_anew_in_part_are_trusted_by_nobody() {
    let watched = Watched::new();
    let log: Arc<dyn EventLog> = watched.clone();
    let folder = tempfile::tempdir().expect("a folder");
    ran(&log, &on_disk(&folder), 1..=5).await;
    // As somebody left it who was stopped when all was removed and nothing was folded yet.
    on_disk(&folder).outdate(ONLY, "stock");
    let store = on_disk(&folder).source.open(ONLY).expect("a store");
    store.forget("stock").expect("it is forgotten");
    drop(store);
    assert_eq!(found(&log, &on_disk(&folder)).await, 5);
    watched.read_from();
    // Once it is done it is not done again.
    let third = Running::with(&log, &on_disk(&folder));
    assert_eq!(on_hand(&third).await, 5);
    assert!(watched.read_from().is_some_and(|offset| offset > 0), "not from its start");
    third.stop().await;
}
