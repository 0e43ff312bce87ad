//! What is no copy is not made one.

use std::sync::Arc;

use domain::{
    Event,
    aggregate::Aggregate,
    process::Process,
    shard::{ShardId, shard_of},
};
use infra::{
    codec,
    log::{
        EventLog,
        memory::{MemoryLog, RawRecord},
        owner::Owner,
        sample,
    },
};

use super::{Reshard, ReshardError, copied, refusal, shop, to};

fn empty(shards: u32) -> Arc<dyn EventLog> {
    Arc::new(MemoryLog::new(shards))
}

#[tokio::test]
async fn a_target_that_somebody_owns_is_in_use() {
    let target = empty(2);
    Owner::claim(&*target, ShardId::new(1))
        .await
        .expect("a claim")
        .finish()
        .await
        .expect("written");
    let refused = refusal(&to(&shop().await, &target)).await;
    assert!(matches!(refused, ReshardError::TargetInUse { .. }), "{refused}");
}

#[tokio::test]
async fn a_target_that_holds_another_copy_is_refused() {
    let target = copied(&shop().await, 2).await;
    let refused = refusal(&to(&shop().await, &target)).await;
    assert!(matches!(refused, ReshardError::TargetDiffers { .. }), "{refused}");
}

#[tokio::test]
async fn a_target_that_holds_anything_else_is_refused() {
    let log = MemoryLog::new(2);
    log.append_raw(ShardId::new(0), RawRecord::default());
    let refused = refusal(&to(&shop().await, &(Arc::new(log) as Arc<dyn EventLog>))).await;
    assert!(matches!(refused, ReshardError::TargetDiffers { seq: 1, .. }), "{refused}");
}

#[tokio::test]
async fn a_copy_that_is_finished_takes_nothing_more() {
    let source = shop().await;
    let target = copied(&source, 2).await;
    let world = crate::testing::World::over(Arc::clone(&source), infra::clock::Clock::System);
    let order_id = world.buy("milk", 1, "tok_ok").await;
    world.settled(order_id).await;
    drop(world);
    let refused = refusal(&to(&source, &target)).await;
    assert!(matches!(refused, ReshardError::TargetDiffers { .. }), "{refused}");
}

#[tokio::test]
async fn a_source_that_is_claimed_meanwhile_is_in_use() {
    let (source, target) = (shop().await, empty(2));
    let reshard: Reshard = to(&source, &target);
    let claimed = std::cell::Cell::new(false);
    let (log, shard) = (Arc::clone(&source), ShardId::new(3));
    let refused = reshard.run(|_, _| {
        if !claimed.replace(true) {
            let claim = infra::log::OutgoingRecord::Claim(sample::claim(infra::log::Nonce(7)));
            let opened = futures_util::FutureExt::now_or_never(log.open_writer(shard));
            let (mut writer, _reports) = opened.expect("memory").expect("a writer");
            writer.append(&claim, infra::log::Ticket::CLAIM).expect("appended");
        }
    });
    let refused = refused.await.expect_err("a refusal");
    let is_it = matches!(refused, ReshardError::SourceInUse { shard } if shard.index() == 3);
    assert!(is_it, "{refused}");
}

#[tokio::test]
async fn a_stream_whose_number_of_shards_was_changed_is_refused() {
    let source = empty(2);
    let event = sample::event(sample::PLACE, 1);
    let wrong = ShardId::new(1 - shard_of(&event.stream, 2).index());
    let mut owner = Owner::claim(&*source, wrong).await.expect("a claim");
    owner.commit(vec![event]).await.expect("a commit");
    owner.finish().await.expect("written");
    let refused = refusal(&to(&source, &empty(3))).await;
    assert!(matches!(refused, ReshardError::Misplaced(_)), "{refused}");
}

#[tokio::test]
async fn while_steps_are_parked_the_copy_is_not_finished() {
    let source = empty(2);
    let samples = Process::samples();
    let stream = ShardId::new(0).process_stream();
    let shard = shard_of(&stream, 2);
    let commit = async |event| {
        let mut owner = Owner::claim(&*source, shard).await.expect("a claim");
        let (event_type, value) = codec::encode(&Event::Process(event));
        let record = sample::stored(stream.clone(), 1, event_type, value);
        owner.commit(vec![record]).await.expect("a commit");
        owner.finish().await.expect("written");
    };
    commit(samples[0].clone()).await;
    let target = empty(3);
    let refused = refusal(&to(&source, &target)).await;
    assert!(matches!(refused, ReshardError::StepsParked(1)), "{refused}");
    // An operator has it skipped; then the copy goes on.
    commit(samples[samples.len() - 1].clone()).await;
    let copied = to(&source, &target).run(|_, _| {}).await.expect("a copy");
    assert_eq!((copied.found, copied.appended), (1, 1 + 3));
}
