mod trouble;

use domain::{
    Event, State, StreamType, aggregate::Aggregate, stock::Stock, testing::NOW,
    timestamp::Timestamp,
};
use infra::log::{Nonce, RequestHash};
use tempfile::TempDir;
use uuid::Uuid;

use super::{
    super::super::{Outcome, Snapshot},
    super::{ChangedState, Known},
    *,
};

const SHARD: ShardId = ShardId::new(0);
const CACHE_BYTES: usize = 1 << 20;

struct Disk {
    folder: TempDir,
}

impl Disk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn source(&self) -> DiskSource {
        DiskSource::new(self.folder.path().to_owned(), 4, CACHE_BYTES)
    }

    fn open(&self) -> Arc<dyn StateStore> {
        self.source().open(SHARD).unwrap()
    }

    fn open_here(&self) -> DiskStore {
        let (folder, header) = (self.source().folder(SHARD), Header::of(SHARD, 4));
        fs::create_dir_all(&folder).unwrap();
        DiskStore::open(folder, CACHE_BYTES, header).unwrap()
    }

    fn tables(&self) -> Tables {
        Tables::open(&self.source().folder(SHARD), CACHE_BYTES, &Expiry::default()).unwrap()
    }

    #[track_caller]
    fn why_useless(&self) -> String {
        match self.source().open(SHARD).err() {
            Some(OpenError::Useless(why)) => why,
            other => panic!("it should be useless: {other:?}"),
        }
    }

    /// Of the shard's store, the largest first.
    fn files(&self) -> Vec<PathBuf> {
        let (mut files, mut folders) = (Vec::new(), vec![self.source().folder(SHARD)]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { &mut folders } else { &mut files }.push(path);
            }
        }
        files.sort_by_key(|path| std::cmp::Reverse(fs::metadata(path).unwrap().len()));
        files
    }
}

fn stream(number: u64) -> StreamId {
    StreamId::new(StreamType::Stock, number)
}

fn snapshot(number: u64) -> Snapshot {
    let mut state = StreamType::Stock.empty();
    for event in Stock::samples() {
        assert!(state.evolve(&Event::Stock(event)));
    }
    Snapshot { state, revision: number }
}

fn known(number: u64) -> Arc<Known> {
    Arc::new(Known {
        request_hash: RequestHash::of(&[&number.to_be_bytes()]),
        outcome: Outcome::Unchanged { revision: number },
        next_offset: 1,
        recorded_at: Timestamp::from_micros(i64::try_from(number).unwrap()),
    })
}

fn remembered(number: u64) -> Option<Remembered> {
    Some(Remembered::Known(Known::clone(&known(number))))
}

fn deadlines(store: &dyn StateStore, after: Option<&Deadline>, max: usize) -> Vec<Deadline> {
    store.deadlines(after, max).unwrap().deadlines
}

fn command_id(number: u64) -> CommandId {
    CommandId::new(Uuid::from_u128(u128::from(number)))
}

/// One stream, one deadline and one outcome per number.
fn batch(numbers: std::ops::Range<u64>) -> Batch {
    let last_seq = numbers.end;
    let state = |number| ChangedState {
        stream: stream(number),
        snapshot: Ok(snapshot(number)),
        old_deadline: None,
        deadline: Some(NOW),
    };
    Batch {
        checkpoint: Checkpoint {
            log_id: Some(Nonce(1)),
            next_offset: 100,
            epoch: 0,
            claim: Some(Nonce(1)),
            last_seq,
        },
        states: numbers.clone().map(state).collect(),
        outcomes: numbers.map(|number| (command_id(number), known(number))).collect(),
        forget_before: Timestamp::from_micros(i64::MIN),
    }
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let disk = Disk::new();
    let store = disk.open();
    assert_eq!(store.checkpoint().unwrap(), None);
    let written = store.write(&batch(0..100)).unwrap();
    assert_eq!(written.state_bytes.len(), 100);
    drop(store);

    let store = disk.open();
    assert_eq!(store.checkpoint().unwrap(), Some(batch(0..100).checkpoint));
    let found = store.state(&stream(7)).unwrap().unwrap();
    assert_eq!(found.snapshot, Ok(snapshot(7)));
    assert_eq!(found.bytes, written.state_bytes[7]);
    assert_eq!(store.state(&stream(100)).unwrap(), None);
    assert_eq!(store.outcome(command_id(7)).unwrap(), remembered(7));
    assert_eq!(store.outcome(command_id(100)).unwrap(), None);
}

#[test]
fn deadlines_come_in_order_and_go_when_they_change() {
    let disk = Disk::new();
    let store = disk.open();
    store.write(&batch(0..3)).unwrap();
    let all = deadlines(&*store, None, 10);
    assert_eq!(all, [(NOW, stream(0)), (NOW, stream(1)), (NOW, stream(2))]);
    assert_eq!(deadlines(&*store, Some(&all[0]), 1), all[1..2]);
    let mut next = batch(0..0);
    next.states = vec![ChangedState {
        stream: stream(1),
        snapshot: Ok(snapshot(1)),
        old_deadline: Some(NOW),
        deadline: None,
    }];
    store.write(&next).unwrap();
    assert_eq!(deadlines(&*store, None, 10), [(NOW, stream(0)), (NOW, stream(2))]);
}

#[test]
fn a_batch_that_was_cut_off_is_not_there_at_all() {
    let disk = Disk::new();
    let store = disk.open();
    store.write(&batch(0..100)).unwrap();
    // The journal as it is in the middle of a write: taken while the process runs, and cut.
    let journal = disk.files().into_iter().find(|path| path.extension() == Some("jnl".as_ref()));
    let journal = journal.expect("a journal");
    let one = fs::read(&journal).unwrap();
    store.write(&batch(100..200)).unwrap();
    let two = fs::read(&journal).unwrap();
    drop(store);
    let written = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let (one, end) = (written(&one), written(&two));
    for cut in [one + 20, (one + end) / 2, end - 1] {
        fs::write(&journal, &two[..cut]).unwrap();
        let store = disk.open();
        assert_eq!(store.checkpoint().unwrap().unwrap().last_seq, 100, "cut at {cut}");
        assert!(store.state(&stream(99)).unwrap().is_some());
        assert_eq!(store.state(&stream(100)).unwrap(), None);
        assert_eq!(store.outcome(command_id(100)).unwrap(), None);
        drop(store);
        fs::write(&journal, &two).unwrap();
    }
}

#[test]
fn another_version_another_shard_and_another_count_are_told() {
    let disk = Disk::new();
    disk.open().write(&batch(0..1)).unwrap();
    let other = DiskSource::new(disk.folder.path().to_owned(), 8, CACHE_BYTES);
    let Err(OpenError::Useless(why)) = other.open(SHARD) else { panic!("useless") };
    assert_eq!(why, "it is of shard 0 of 4");

    let header = Header { encoding: 1, ..Header::of(SHARD, 4) };
    disk.tables().put_header(&encoding::header(&header).unwrap()).unwrap();
    assert!(disk.why_useless().starts_with("it was written by another release"));
    disk.source().discard(SHARD).unwrap();
    assert_eq!(disk.open().checkpoint().unwrap(), None);
}

#[test]
fn damage_is_found() {
    let disk = Disk::new();
    let store = disk.open();
    store.write(&batch(0..2_000)).unwrap();
    drop(store);
    disk.tables().flush().unwrap();
    let tables = disk.files().into_iter().filter(|path| path.to_string_lossy().contains("tables"));
    let mut damaged = 0;
    for path in tables {
        let mut bytes = fs::read(&path).unwrap();
        let end = bytes.len().min(2_000);
        for byte in &mut bytes[..end] {
            *byte ^= 0x55;
        }
        fs::write(&path, bytes).unwrap();
        damaged += 1;
    }
    assert!(damaged > 0, "{:?}", disk.files());
    let opened = disk.source().open(SHARD);
    let is_found = opened.is_err_and(|error| matches!(error, OpenError::Useless(_)))
        || disk.source().open(SHARD).is_ok_and(|store| store.state(&stream(1)).is_err());
    assert!(is_found);
}

#[test]
fn a_folder_in_use_is_left_alone() {
    let disk = Disk::new();
    let store = disk.open();
    let second = disk.source().open(SHARD);
    assert!(matches!(second.err(), Some(OpenError::Unavailable(_))));
    drop(store);
    disk.open();
}

#[test]
fn old_outcomes_leave_with_a_compaction() {
    let disk = Disk::new();
    let store = disk.open_here();
    store.write(&batch(0..100)).unwrap();
    let mut next = batch(100..101);
    next.forget_before = Timestamp::from_micros(50);
    store.write(&next).unwrap();
    store.with(Tables::compact_outcomes).unwrap();
    assert_eq!(store.outcome(command_id(49)).unwrap(), None);
    assert_eq!(store.outcome(command_id(50)).unwrap(), remembered(50));
}

#[test]
fn after_a_failed_write_the_database_is_opened_again() {
    let disk = Disk::new();
    let store = disk.open_here();
    store.write(&batch(0..100)).unwrap();
    store.failed.store(true, Ordering::SeqCst);
    store.write(&batch(100..200)).unwrap();
    assert_eq!(store.checkpoint().unwrap().unwrap().last_seq, 200);
    assert!(matches!(
        store.state(&stream(5)).unwrap().unwrap().snapshot.unwrap().state,
        State::Stock(_)
    ));
}
