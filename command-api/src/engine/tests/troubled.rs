//! Stores that fail, by what is wrong with them.

use super::{
    super::store::testing::{Fault, Faults},
    restart::{Watched, found, on_hand, ran},
    *,
};

/// An engine that goes on from a store of five commands, and what they were told.
async fn restarted(log: &Arc<dyn EventLog>, faults: &Faults) -> (Running, Vec<Answer>) {
    let stores = Stores::faulty(faults, 0);
    let answers = ran(log, &stores, 1..=5).await;
    let second = Running::with(log, &stores);
    assert_eq!(on_hand(&second).await, 5);
    (second, answers)
}

/// Asks until somebody answers.
async fn insist(running: &Running, key: u128) -> Answer {
    loop {
        match submit(&running.engine, receive("A", key)).await {
            Ok(answer) => return answer,
            Err(SubmitError::Busy | SubmitError::Unknown) => tokio::task::yield_now().await,
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test]
async fn a_damaged_store_is_built_anew_while_the_engine_runs() {
    let (log, faults): (Arc<dyn EventLog>, _) = (Arc::new(MemoryLog::new(1)), Faults::default());
    let (second, answers) = restarted(&log, &faults).await;
    faults.fail_reads(Some(Fault::Corrupt));
    // Whoever asks first is told to try again; the shard then reads the log.
    let refused = submit(&second.engine, receive("A", 6)).await;
    assert_eq!(refused, Err(SubmitError::Busy));
    insist(&second, 6).await;
    assert_eq!((faults.discarded(), on_hand(&second).await), (1, 6));
    let again = submit(&second.engine, receive("A", 1)).await.expect("an answer");
    assert_eq!(again.outcome, answers[0].outcome);
    second.stop().await;
    assert!(committed(&*log).await.values().all(|times| *times == 1));
}

#[tokio::test]
async fn a_store_that_the_system_refuses_is_waited_for_and_goes_on_where_it_was() {
    let (watched, faults) = (Watched::new(), Faults::default());
    let log: Arc<dyn EventLog> = watched.clone();
    let (second, answers) = restarted(&log, &faults).await;
    watched.read_from();
    faults.fail_reads(Some(Fault::Io));
    // Nobody is left without an answer for as long as it takes.
    for key in [6, 7] {
        let refused = submit(&second.engine, receive("A", key)).await;
        assert_eq!(refused, Err(SubmitError::Busy));
    }
    faults.fail_opens(Some(Fault::Io));
    faults.fail_reads(None);
    assert_eq!(submit(&second.engine, receive("A", 8)).await, Err(SubmitError::Busy));
    faults.fail_opens(None);
    insist(&second, 9).await;
    assert_eq!(on_hand(&second).await, 6);
    let again = submit(&second.engine, receive("A", 1)).await.expect("an answer");
    assert_eq!((again.replayed, &again.outcome), (true, &answers[0].outcome));
    second.stop().await;
    assert_eq!(faults.discarded(), 0);
    assert!(watched.read_from().is_some_and(|offset| offset > 4), "it was not read from its start");
}

#[tokio::test]
async fn a_node_goes_away_in_the_middle_of_waiting_for_its_store() {
    let (log, faults): (Arc<dyn EventLog>, _) = (Arc::new(MemoryLog::new(1)), Faults::default());
    let (second, _) = restarted(&log, &faults).await;
    faults.fail_reads(Some(Fault::Io));
    assert_eq!(submit(&second.engine, receive("A", 6)).await, Err(SubmitError::Busy));
    second.stop().await;
}

#[tokio::test]
async fn a_store_that_is_found_damaged_by_a_write_is_built_anew() {
    let (log, faults): (Arc<dyn EventLog>, _) = (Arc::new(MemoryLog::new(1)), Faults::default());
    let (second, _) = restarted(&log, &faults).await;
    faults.fail_writes(Some(Fault::Corrupt));
    let mut key = 6;
    while faults.discarded() == 0 {
        insist(&second, key).await;
        key += 1;
    }
    insist(&second, key).await;
    assert_eq!(u128::from(on_hand(&second).await), key);
    second.stop().await;
}

#[tokio::test]
async fn a_disk_that_refuses_costs_no_command() {
    let faults = Faults::default();
    let stores = Stores::faulty(&faults, 0);
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(1));
    faults.fail_writes(Some(Fault::Io));
    ran(&log, &stores, 1..=20).await;
    // Nothing was saved, so all of it is read again, and then saved.
    faults.fail_writes(None);
    assert_eq!(found(&log, &stores).await, 20);
    assert_eq!(found(&log, &stores).await, 20);
    assert_eq!(faults.discarded(), 0);
}

/// A store in files, of one shard, with stocks `A` and `B`.
struct OnDisk {
    folder: TempDir,
    watched: Arc<Watched>,
}

impl OnDisk {
    async fn with_two_stocks() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let site = Self { folder, watched: Watched::new() };
        let first = site.start();
        for (key, sku) in [(1, "A"), (2, "B")] {
            submit(&first.engine, receive(sku, key)).await.expect("an answer");
        }
        first.stop().await;
        site.watched.read_from();
        site
    }

    fn start(&self) -> Running {
        let log: Arc<dyn EventLog> = self.watched.clone();
        Running::with(&log, &self.stores())
    }

    fn stores(&self) -> Stores {
        on_disk(&self.folder)
    }
}

#[tokio::test]
async fn a_state_that_cannot_be_decoded_stops_its_stream_and_nothing_else() {
    let site = OnDisk::with_two_stocks().await;
    site.stores().spoil_state(ONLY, &receive("A", 1).stream);

    for key in [3, 4] {
        let running = site.start();
        let unreadable = Err(SubmitError::StreamUnreadable);
        assert_eq!(submit(&running.engine, receive("A", key)).await, unreadable);
        let read = |sku| stock(&running.engine, sku, Consistency::Linearizable);
        assert_eq!(read("A").await, Err(ReadError::StreamUnreadable));
        let revision = read("B").await.expect("a state").revision;
        let answer = submit(&running.engine, receive("B", key)).await.expect("an answer");
        assert_eq!(
            (u128::from(revision), matches!(answer.outcome, Outcome::Committed { .. })),
            (key - 2, true)
        );
        // What was answered before stays answered.
        assert!(submit(&running.engine, receive("A", 1)).await.expect("an answer").replayed);
        running.stop().await;
        assert!(site.watched.read_from().is_some_and(|offset| offset > 0), "not from its start");
    }
}

#[tokio::test]
async fn a_command_whose_outcome_cannot_be_decoded_is_not_carried_out_again() {
    let site = OnDisk::with_two_stocks().await;
    site.stores().spoil_outcome(ONLY, receive("A", 1).command_id);
    let running = site.start();
    let again = submit(&running.engine, receive("A", 1)).await;
    assert_eq!(again, Err(SubmitError::StreamUnreadable));
    assert_eq!(on_hand(&running).await, 1);
    assert!(submit(&running.engine, receive("B", 2)).await.expect("an answer").replayed);
    submit(&running.engine, receive("A", 3)).await.expect("an answer");
    running.stop().await;
}
