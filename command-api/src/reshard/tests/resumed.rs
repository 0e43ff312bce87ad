//! A copy that was cut off goes on where it was, wherever that is.

use std::{sync::Arc, time::Duration};

use domain::timestamp::Timestamp;
use infra::{
    clock::{Clock, ManualClock},
    log::{
        Body, EventLog, OutgoingRecord, Prefetch,
        memory::{MemoryLog, RawRecord},
    },
};

use super::{Copied, Reshard, bodies, of, shards, shop, to};

/// Reads the records of a log as they would be written.
async fn records(log: &dyn EventLog) -> Vec<Vec<RawRecord>> {
    let mut all = Vec::new();
    for shard in shards(log) {
        let end = log.range(shard).await.expect("a range").end;
        let mut reader = log.open_reader(shard, 0, Prefetch::Ahead).await.expect("a reader");
        let count = usize::try_from(end).expect("a number");
        let read = reader.read(count, Duration::from_secs(1)).await.expect("records");
        let raw = read.into_iter().map(|record| {
            let outgoing = match record.body {
                Body::Claim(claim) => OutgoingRecord::Claim(claim),
                Body::Event(event) => OutgoingRecord::Event(event),
                Body::Barrier(barrier) => OutgoingRecord::Barrier(barrier),
                Body::Foreign(reason) => panic!("{reason:?}"),
            };
            RawRecord::of(&outgoing).expect("a record")
        });
        all.push(raw.collect());
    }
    all
}

/// What stands in the target when a run dies: of each shard a part of what it was to write.
fn cut_off(records: &[Vec<RawRecord>], length: impl Fn(usize) -> usize) -> Arc<dyn EventLog> {
    let log = MemoryLog::new(u32::try_from(records.len()).expect("a number"));
    for (shard, records) in shards(&log).zip(records) {
        let length = length(records.len());
        for record in records.iter().take(length) {
            log.append_raw(shard, record.clone());
        }
    }
    Arc::new(log)
}

fn at(moment: Timestamp, source: &Arc<dyn EventLog>, target: &Arc<dyn EventLog>) -> Reshard {
    Reshard { clock: Clock::from(ManualClock::at(moment)), ..to(source, target) }
}

#[tokio::test]
async fn a_run_goes_on_wherever_the_last_one_died() {
    let (source, now) = (shop().await, Clock::System.now());
    let whole: Arc<dyn EventLog> = Arc::new(MemoryLog::new(3));
    let copied = of(at(now, &source, &whole).run(|_, _| {}).await);
    assert_eq!(copied.found, 0);
    let written = records(&*whole).await;
    let longest = written.iter().map(Vec::len).max().expect("shards");
    let check = async |target: Arc<dyn EventLog>| {
        let again = of(at(now, &source, &target).run(|_, _| {}).await);
        assert_eq!(again.found + again.appended, copied.appended);
        for shard in shards(&*target) {
            assert_eq!(bodies(&*target, shard).await, bodies(&*whole, shard).await, "{shard}");
        }
        again
    };
    for cut in 0..=longest {
        check(cut_off(&written, |length| cut.min(length))).await;
        check(cut_off(&written, |length| length * cut / longest)).await;
    }
    let nothing_left = Copied { appended: 0, found: copied.appended };
    assert_eq!(check(Arc::clone(&whole)).await, nothing_left);
}

#[tokio::test]
async fn a_run_that_dies_while_it_goes_on_is_gone_on_with() {
    let (source, now) = (shop().await, Clock::System.now());
    let mut target: Arc<dyn EventLog> = Arc::new(MemoryLog::new(2));
    let (mut runs, mut found) = (0_u64, 0);
    loop {
        of(at(now, &source, &target).run(|_, _| {}).await);
        let written = records(&*target).await;
        let claims: usize = written.len();
        // The next claim and a few records more than the last time.
        runs += 1;
        let kept = usize::try_from(runs * 7).expect("a number") + claims;
        let longest = written.iter().map(Vec::len).max().expect("shards");
        if kept >= longest {
            break;
        }
        target = cut_off(&written, |length| kept.min(length));
        let again = of(at(now, &source, &target).run(|_, _| {}).await);
        assert!(again.found >= found, "{again:?} after {found}");
        found = again.found;
    }
    let whole: Arc<dyn EventLog> = Arc::new(MemoryLog::new(2));
    of(at(now, &source, &whole).run(|_, _| {}).await);
    for shard in shards(&*target) {
        assert_eq!(bodies(&*target, shard).await, bodies(&*whole, shard).await, "{shard}");
    }
}

#[tokio::test]
async fn a_source_that_has_grown_since_is_copied_on() {
    let source = shop().await;
    let target: Arc<dyn EventLog> = Arc::new(MemoryLog::new(3));
    let written = {
        of(to(&source, &target).run(|_, _| {}).await);
        records(&*target).await
    };
    // It died before its end, and the shop went on.
    let target = cut_off(&written, |length| length / 2);
    let world = crate::testing::World::over(Arc::clone(&source), Clock::System);
    let order_id = world.buy("milk", 1, "tok_ok").await;
    world.settled(order_id).await;
    drop(world);
    let copied = of(to(&source, &target).run(|_, _| {}).await);
    assert!(copied.found > 0 && copied.appended > 0, "{copied:?}");
    let (expected, found) = (super::streams(&*source).await, super::streams(&*target).await);
    for (stream, (_, commits)) in &expected {
        assert_eq!(&found[stream].1, commits, "{stream}");
    }
}
