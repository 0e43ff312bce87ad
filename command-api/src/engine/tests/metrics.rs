//! What operators are promised to see of the engine, by name.

use std::io;

use axum::body::Body;
use infra::telemetry::emit;
use serde_json::json;

use super::{
    super::{
        effect::TakeOverReason,
        events::{Forwarded, OfShard, ShardEvent, SnapshotEvent, StoreEvent},
    },
    *,
};
use crate::testing::{World, eventually};

#[tokio::test]
async fn the_metrics_page_shows_the_engine() {
    let world = World::start();
    world.staff("POST", "/v1/stock/A/receive", json!({"quantity": 1})).await.expect(200);
    // What does not happen to a node that is alone and well.
    emit(OfShard(ONLY, ShardEvent::EpochEnded(TakeOverReason::Deposed)));
    emit(Forwarded { question: "submit", result: "answered" });
    let took = Duration::from_millis(1);
    emit(OfShard(ONLY, SnapshotEvent::Left { next_offset: 7, bytes: 8, took }));
    emit(OfShard(ONLY, SnapshotEvent::Fetched { name: "x", next_offset: 7, took }));
    let error = io::Error::from(io::ErrorKind::StorageFull);
    emit(OfShard(ONLY, SnapshotEvent::Failed(&error)));
    emit(OfShard(ONLY, StoreEvent::Unwritable(&error)));
    let names = [
        "tradewind_engine_group_records_count{",
        "tradewind_engine_in_flight_records{",
        "tradewind_engine_ack_seconds_count{",
        "tradewind_engine_take_overs_total{",
        "tradewind_engine_epochs_ended_total{shard=\"0\",reason=\"deposed\"}",
        "tradewind_engine_serving{",
        "tradewind_engine_pending_commands{",
        "tradewind_engine_records_read_total{",
        "tradewind_engine_streams{",
        "tradewind_engine_remembered_commands{",
        "tradewind_engine_forwarded_total{question=\"submit\",result=\"answered\"}",
        "tradewind_store_cache_hits_total{",
        "tradewind_store_cache_misses_total{",
        "tradewind_store_unsaved_bytes{",
        "tradewind_store_bytes{",
        "tradewind_store_write_seconds_count{",
        "tradewind_store_writable{shard=\"0\"} 0",
        "tradewind_store_snapshots_total{shard=\"0\",result=\"left\"}",
        "tradewind_store_snapshots_total{shard=\"0\",result=\"failed\"}",
        "tradewind_store_snapshot_position{",
        "tradewind_store_snapshot_bytes{",
        "tradewind_store_snapshot_seconds_count{",
    ];
    // Gauges are set with the regular tick, and the store's with its next write.
    eventually("all metrics", || async {
        emit(OfShard(ONLY, StoreEvent::Unwritable(&error)));
        let request = World::request("GET", "/metrics").body(Body::empty()).unwrap();
        let page = world.send_to_ops(request).await.expect(200).raw;
        let missing: Vec<_> = names.iter().filter(|name| !page.contains(**name)).collect();
        missing.is_empty().then_some(())
    })
    .await;
}
