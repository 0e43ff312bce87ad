//! What goes wrong with files, and entries that cannot be decoded.

use domain::{aggregate::Aggregate, stock::Stock};
use std::{fs::File, process::Command};

use infra::{codec, log};

use super::{
    super::super::{Unread, UnreadEvent, Upcoming},
    *,
};

fn unread_event(event_type: &str, value: &[u8]) -> Arc<UnreadEvent> {
    let mut record = log::sample::event(log::sample::PLACE, 1);
    (record.event_type, record.value) = (event_type.into(), value.to_vec().into());
    UnreadEvent::of(&record)
}

#[test]
fn an_entry_that_cannot_be_decoded_is_one_entry() {
    let disk = Disk::new();
    disk.open().write(&batch(0..3)).unwrap();
    let tables = disk.tables();
    tables.states.insert(stream(1).as_str(), [0, 0, 0, 0, 0, 0, 0, 1, 0xc1]).unwrap();
    let head = encoding::outcome_head(&known(1));
    tables.outcomes.insert(encoding::command_id(command_id(1)), head).unwrap();
    tables.deadlines.insert("cut", "").unwrap();
    tables.deadlines.insert([&[0x80; 8][..], b"no stream"].concat(), "").unwrap();
    drop(tables);

    let store = disk.open();
    assert_eq!(store.checkpoint().unwrap(), Some(batch(0..3).checkpoint));
    let found = store.state(&stream(1)).unwrap().unwrap().snapshot;
    assert!(matches!(found, Err(Unread::Entry(_))), "{found:?}");
    assert_eq!(store.state(&stream(2)).unwrap().unwrap().snapshot, Ok(snapshot(2)));
    let found = store.outcome(command_id(1)).unwrap().unwrap();
    let recorded_at = Some(known(1).recorded_at);
    assert!(
        matches!(&found, Remembered::Unreadable { recorded_at: at, .. } if *at == recorded_at),
        "{found:?}"
    );
    assert_eq!(store.outcome(command_id(2)).unwrap(), remembered(2));
    let Upcoming { deadlines, unreadable } = store.deadlines(None, 9).unwrap();
    assert_eq!(deadlines, [0, 1, 2].map(|number| (NOW, stream(number))));
    assert_eq!(unreadable.len(), 2);
}

#[test]
fn a_store_with_an_unreadable_stream_is_kept_and_told_of_once_a_release_can_read_it() {
    let disk = Disk::new();
    let mut next = batch(0..2);
    let event = unread_event("tradewind.stock.counted.v1", b"{}");
    next.states[0].snapshot = Err(Unread::Event(Arc::clone(&event)));
    next.states[1].snapshot = Err(Unread::Unknown);
    disk.open().write(&next).unwrap();
    let store = disk.open();
    let found = |number| store.state(&stream(number)).unwrap().unwrap().snapshot;
    assert_eq!(found(0), Err(Unread::Event(event)));
    assert_eq!(found(1), Err(Unread::Unknown));

    // As if an earlier release had not known a type that this one does.
    let (event_type, value) = codec::encode(&Event::Stock(Stock::samples().remove(0)));
    next.states[0].snapshot = Err(Unread::Event(unread_event(&event_type, &value)));
    store.write(&next).unwrap();
    drop(store);
    let store = disk.open();
    let stock = BTreeSet::from(["stock".to_owned()]);
    assert_eq!(store.outdated().unwrap(), stock);
    // However far it comes, that is told until all is done.
    store.distrust(&stock).unwrap();
    store.forget("stock").unwrap();
    drop(store);
    let store = disk.open();
    assert_eq!((store.state(&stream(0)).unwrap(), store.outdated().unwrap()), (None, stock));
    store.renew().unwrap();
    assert_eq!(store.outdated().unwrap(), BTreeSet::new());
}

#[test]
fn what_is_forgotten_is_one_aggregates_and_all_of_that() {
    let disk = Disk::new();
    let cart = StreamId::new(StreamType::Cart, 1);
    let mut next = batch(0..100);
    let mut other = batch(0..1).states.remove(0);
    other.stream = cart.clone();
    next.states.push(other);
    let store = disk.open();
    store.write(&next).unwrap();
    store.forget("stock").unwrap();
    assert_eq!(store.state(&stream(7)).unwrap(), None);
    assert!(store.state(&cart).unwrap().is_some());
    let left = deadlines(&*store, None, 1_000);
    assert!(left.iter().all(|(_, stream)| *stream == cart), "{left:?}");
    assert_eq!(store.checkpoint().unwrap(), Some(next.checkpoint));
}

/// Without what belongs to it, the next batch would make a store that lacks something.
#[test]
fn a_store_whose_files_went_is_damaged() {
    let disk = Disk::new();
    let store = disk.open_here();
    store.write(&batch(0..100)).unwrap();
    store.failed.store(true, Ordering::SeqCst);
    fs::remove_dir_all(disk.source().folder(SHARD)).unwrap();
    fs::create_dir(disk.source().folder(SHARD)).unwrap();
    let written = store.write(&batch(100..200));
    assert!(matches!(written, Err(StoreError::Corrupt(_))), "{written:?}");
}

#[test]
fn while_the_disk_refuses_the_store_is_read_and_then_goes_on() {
    let disk = Disk::new();
    let store = disk.open_here();
    store.write(&batch(0..100)).unwrap();
    store.failed.store(true, Ordering::SeqCst);
    let obstacle = disk.source().folder(SHARD).join("probe");
    fs::create_dir(&obstacle).unwrap();
    for _ in 0..3 {
        let written = store.write(&batch(100..200));
        assert!(matches!(written, Err(StoreError::Io(_))), "{written:?}");
        assert_eq!(store.state(&stream(7)).unwrap().unwrap().snapshot, Ok(snapshot(7)));
    }
    fs::remove_dir(&obstacle).unwrap();
    store.write(&batch(100..200)).unwrap();
    assert_eq!(store.checkpoint().unwrap().unwrap().last_seq, 200);
}

/// In a process of its own, for the limit is the process's.
#[test]
fn without_descriptors_a_store_is_waited_for() {
    let this = std::env::current_exe().unwrap();
    let name = "engine::store::disk::tests::trouble::in_a_process_with_few_descriptors";
    let script = "ulimit -n 96; exec \"$0\" --ignored --exact --nocapture \"$1\"";
    let ran = Command::new("sh").args(["-c", script]).arg(this).arg(name).output().unwrap();
    let told = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{told}{}", String::from_utf8_lossy(&ran.stderr));
    assert!(told.contains("1 passed"), "{told}");
}

#[test]
#[ignore = "takes all descriptors of its process: run by without_descriptors_a_store_is_waited_for"]
fn in_a_process_with_few_descriptors() {
    let disk = Disk::new();
    let store = disk.open_here();
    store.write(&batch(0..2_000)).unwrap();
    drop(store);
    disk.tables().flush().unwrap();
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    // However far the opening comes, it is no damage.
    while !taken.is_empty() {
        match disk.source().open(SHARD) {
            Err(OpenError::Unavailable(_)) => {}
            Err(error) => panic!("with {} descriptors taken: {error:?}", taken.len()),
            Ok(store) => {
                let found = store.state(&stream(7));
                let is_refused = matches!(found, Err(StoreError::Io(_)));
                assert!(is_refused || found.is_ok_and(|found| found.is_some()));
            }
        }
        taken.truncate(taken.len().saturating_sub(5));
    }
    let store = disk.open_here();
    assert_eq!(store.state(&stream(7)).unwrap().unwrap().snapshot, Ok(snapshot(7)));
}
