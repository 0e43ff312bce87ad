use std::io::Cursor;

use infra::log::{Checkpoint, Nonce};
use object_store::{ObjectStoreExt, PutPayload, memory::InMemory};

use super::{
    super::store::{Header, Row, Table},
    format::{Writer, read_head},
    *,
};

const SHARD: ShardId = ShardId::new(3);

fn head() -> Head {
    let header = Header::of(SHARD, 8);
    let checkpoint = Checkpoint {
        log_id: Some(Nonce(7)),
        next_offset: 100,
        epoch: 4,
        claim: Some(Nonce(9)),
        last_seq: 12,
    };
    Head { header, checkpoint }
}

type Owned = (Table, Vec<u8>, Vec<u8>);

fn rows() -> Vec<Owned> {
    let row = |number: u32| {
        let table = if number < 40 { Table::States } else { Table::Outcomes };
        (table, number.to_be_bytes().to_vec(), vec![b'x'; usize::try_from(number * 7).unwrap()])
    };
    // A row longer than a block is among them.
    (0..80).map(row).chain([(Table::Deadlines, vec![1], vec![b'y'; 3 << 20])]).collect()
}

fn written(rows: &[Owned]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::begin(&mut bytes, &head(), &key("a secret")).unwrap();
    for (table, key, value) in rows {
        writer.row(&Row { table: *table, key, value }).unwrap();
    }
    writer.finish().unwrap();
    bytes
}

fn key(secret: &str) -> PeerKey {
    PeerKey::new(&secret.to_owned().into())
}

fn read(bytes: Vec<u8>) -> Result<Vec<Owned>, String> {
    read_with("a secret", bytes)
}

fn read_with(secret: &str, bytes: Vec<u8>) -> Result<Vec<Owned>, String> {
    let read_all = || {
        let (found, mut rows) = Rows::open(Cursor::new(bytes), &key(secret))?;
        assert_eq!(found, head());
        let mut all = Vec::new();
        while let Some(Row { table, key, value }) = rows.next()? {
            all.push((table, key.to_vec(), value.to_vec()));
        }
        Ok(all)
    };
    read_all().map_err(|error: BoxError| error.to_string())
}

#[test]
fn what_was_written_is_read_again() {
    let bytes = written(&rows());
    assert_eq!(read_head(&mut &*bytes, &key("a secret")).unwrap(), head());
    assert_eq!(read(bytes).unwrap(), rows());
    assert_eq!(read(written(&[])).unwrap(), []);
}

#[test]
fn a_cut_is_noticed_wherever_it_is() {
    let bytes = written(&rows()[..50]);
    for length in 0..bytes.len() {
        let error = read(bytes[..length].to_vec()).unwrap_err();
        assert_eq!(error, "it is cut off", "cut at {length} of {}", bytes.len());
    }
}

#[test]
fn a_snapshot_of_others_is_not_believed() {
    let bytes = written(&rows()[..5]);
    for secret in ["another secret", ""] {
        let error = read_with(secret, bytes.clone()).unwrap_err();
        assert_eq!(error, "it is damaged, or not of nodes with this secret");
        assert!(read_head(&mut &*bytes, &key(secret)).is_err());
    }
}

#[test]
fn blocks_of_one_snapshot_do_not_pass_in_another() {
    let (one, other) = (written(&rows()[..5]), written(&rows()[5..9]));
    let body = one.len() - written_body_bytes(&one);
    assert_eq!(one[..body], other[..body], "the heads are alike");
    // The first block of one, and the end of the other.
    let mut mixed = one[..one.len() - 44].to_vec();
    mixed.extend(&other[other.len() - 44..]);
    assert!(read(mixed).is_err());
}

#[test]
fn a_changed_byte_is_noticed_wherever_it_is() {
    let bytes = written(&rows()[..50]);
    let head_end = bytes.len() - written_body_bytes(&bytes);
    for place in (0..8).chain(head_end..bytes.len()) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x20;
        assert!(read(damaged).is_err(), "byte {place} of {}", bytes.len());
    }
    let mut longer = bytes;
    longer.push(0);
    assert_eq!(read(longer).unwrap_err(), "something follows its end");
}

/// What follows the head.
fn written_body_bytes(bytes: &[u8]) -> usize {
    let length = u32::from_be_bytes(bytes[8..12].try_into().unwrap());
    bytes.len() - 12 - usize::try_from(length).unwrap()
}

#[test]
fn a_name_tells_what_is_in_the_object() {
    let name = Name::of(&head()).unwrap();
    let path = name.path(SHARD);
    let expected = "shard-3/e3-0000000000000007-00000000000000000100.snapshot";
    assert_eq!(path.as_ref(), expected);
    assert_eq!(Name::parse(&path), Some(name));
    assert!(name.is_like(Name { next_offset: 5, ..name }));
    assert!(!name.is_like(Name { log_id: Nonce(8), ..name }));
    for foreign in ["shard-3/readme.snapshot", "shard-3/e1-07-1.snapshot", "x"] {
        assert_eq!(Name::parse(&Path::from(foreign)), None, "{foreign}");
    }
}

#[tokio::test]
async fn the_newest_is_the_one_that_was_stored_last() {
    let storage = Arc::new(InMemory::new());
    let repository = SnapshotRepository::over(storage.clone(), 1, Duration::ZERO);
    let put = |name: &'static str| {
        let storage = storage.clone();
        async move { storage.put(&Path::from(name), PutPayload::from_static(b"x")).await.unwrap() }
    };
    // A log that was made anew begins with small offsets.
    for name in ["shard-3/a-900.snapshot", "shard-3/b-10.snapshot", "shard-33/c.snapshot"] {
        put(name).await;
    }
    put("shard-3/something-else").await;
    let names = |listed: Vec<Stored>| -> Vec<String> {
        listed.into_iter().map(|stored| stored.path.to_string()).collect()
    };
    let listed = names(repository.list(SHARD).await.unwrap());
    assert_eq!(listed, ["shard-3/b-10.snapshot", "shard-3/a-900.snapshot"]);
}

#[test]
fn s3_is_reached_as_the_settings_say() {
    let s3 = config::S3 {
        bucket: "shop".to_owned(),
        prefix: "eu".to_owned(),
        endpoint: Some("http://127.0.0.1:9".parse().unwrap()),
        region: "us-east-1".to_owned(),
        credentials: None,
    };
    let location = Some(SnapshotLocation::S3(s3));
    let settings = config::Snapshots { location, records_min: 1, interval_min: Duration::ZERO };
    let repository = SnapshotRepository::open(&settings).unwrap().unwrap();
    assert_eq!(repository.storage.to_string(), "PrefixObjectStore(eu)");
}
