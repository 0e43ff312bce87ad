use super::*;
use crate::log::{Body, ForeignReason, Nonce, contract, sample};

const SHARD: ShardId = ShardId::new(0);

#[tokio::test]
async fn memory_keeps_the_contract() {
    contract::all(&MemoryLog::new(3)).await;
}

#[tokio::test]
async fn clones_share_the_records() {
    let log = MemoryLog::new(1);
    assert_eq!(log.clone().append_raw(SHARD, RawRecord::default()), Some(0));
    assert_eq!(log.range(SHARD).await.unwrap(), 0..1);
    assert_eq!(log.append_raw(ShardId::new(1), RawRecord::default()), None);
}

#[tokio::test]
async fn foreign_records_are_read_as_such() {
    let log = MemoryLog::new(1);
    log.append_raw(SHARD, RawRecord::default());
    let mut reader = log.open_reader(SHARD, 0, Prefetch::Ahead).await.unwrap();
    let body = Body::Foreign(ForeignReason::ContentType);
    let expected = [LogRecord { offset: 0, body }];
    assert_eq!(reader.read(9, Duration::ZERO).await.unwrap(), expected);
}

#[tokio::test]
async fn record_of_another_version_stops_the_reader_behind_what_it_could_read() {
    let log = MemoryLog::new(1);
    let claim = OutgoingRecord::Claim(sample::claim(Nonce(1)));
    let mut tomorrow = RawRecord::of(&claim).unwrap();
    let text = String::from_utf8(tomorrow.value.unwrap().into()).unwrap();
    tomorrow.value = Some(text.replace(r#""logversion":2"#, r#""logversion":3"#).into());
    for record in [RawRecord::of(&claim).unwrap(), tomorrow, RawRecord::of(&claim).unwrap()] {
        log.append_raw(SHARD, record);
    }
    let mut reader = log.open_reader(SHARD, 0, Prefetch::Ahead).await.unwrap();
    assert_eq!(reader.read(9, Duration::ZERO).await.unwrap(), [claim.at(0)]);
    for _ in 0..2 {
        let stopped = reader.read(9, Duration::ZERO).await;
        let Err(ReadError::UnsupportedVersion { offset: 1, version }) = stopped else {
            panic!("{stopped:?}")
        };
        assert_eq!(version, 3);
    }
}
