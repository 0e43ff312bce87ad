use std::{collections::HashMap, time::Duration};

use super::*;
use crate::log::{Body, Nonce, Place, Prefetch, contract, memory::MemoryLog, sample};

const SHARD: ShardId = ShardId::new(0);

#[tokio::test]
async fn without_faults_it_keeps_the_contract() {
    contract::all(&FaultyLog::new(Arc::new(MemoryLog::new(2)), Faults::NONE)).await;
}

/// What was seen of 1,000 appends: which were accepted, reported and read.
async fn run(faults: Faults) -> [Vec<u64>; 4] {
    let log = FaultyLog::new(Arc::new(MemoryLog::new(1)), faults);
    let (mut writer, mut reports) = log.open_writer(SHARD).await.unwrap();
    let mut accepted = Vec::new();
    for seq in 1..=1_000 {
        let place = Place { epoch: 0, claim: Nonce(1), seq, index: 0, count: 1 };
        let record = OutgoingRecord::Event(Box::new(sample::event(place, seq.into())));
        if writer.append(&record, Ticket { epoch: 0, seq, index: 0 }).is_ok() {
            accepted.push(seq);
        }
    }
    let (mut succeeded, mut failed) = (Vec::new(), Vec::new());
    let last = accepted.last().copied();
    while let Ok(Some(report)) = tokio::time::timeout(Duration::from_secs(1), reports.recv()).await
    {
        let seq = report.ticket.seq;
        if report.result.is_ok() {
            succeeded.push(seq)
        } else {
            failed.push(seq)
        }
        if Some(seq) == last {
            break;
        }
    }
    let mut reader = log.open_reader(SHARD, 0, Prefetch::Ahead).await.unwrap();
    let read = reader.read(1_000, Duration::ZERO).await.unwrap();
    let read = read.into_iter().filter_map(|record| match record.body {
        Body::Event(event) => Some(event.place.seq),
        _ => None,
    });
    [accepted, succeeded, failed, read.collect()]
}

#[tokio::test(start_paused = true)]
async fn done_and_reported_are_independent() {
    let [accepted, succeeded, failed, read] = run(Faults { seed: 1, permille: 300 }).await;
    let mut seen = HashMap::new();
    for seq in 1..=1_000 {
        let [accepted, succeeded, failed, read] =
            [&accepted, &succeeded, &failed, &read].map(|seqs| seqs.contains(&seq));
        assert!(accepted || !(succeeded || failed || read), "a refused append has no consequence");
        assert!(read || !succeeded, "a success is in the log");
        if accepted {
            *seen.entry((read, succeeded || failed)).or_insert(0) += 1;
        }
    }
    assert_eq!(seen.len(), 4, "all four came up: {seen:?}");
    assert!(failed.iter().any(|seq| read.contains(seq)), "a reported failure may be in the log");
}

#[tokio::test(start_paused = true)]
async fn the_seed_decides_everything() {
    let faults = Faults { seed: 7, permille: 200 };
    assert_eq!(run(faults).await, run(faults).await);
    assert_ne!(run(faults).await, run(Faults { seed: 8, ..faults }).await);
}
