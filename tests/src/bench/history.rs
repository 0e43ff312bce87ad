//! A log that many stocks have a history in, appended through the log's own writers as fast as it
//! takes it, without an engine.

use std::time::Duration;

use anyhow::{Context, Result};
use domain::{
    Event,
    id::{Sku, StreamId},
    shard::{ShardId, shard_of},
};
use infra::{
    clock::Clock,
    codec,
    log::{EventLog, EventRecord, owner::Owner, sample},
};
use serde_json::json;

/// What the history reaches over. All but the last day of it is of no use to the dedup table.
const REACH: Duration = Duration::from_hours(30 * 24);

/// Events are spread evenly over aggregates and time; each is a commit of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct History {
    pub(super) aggregates: u32,
    pub(super) events: u32,
}

pub(super) fn stream(index: u32) -> Result<StreamId> {
    Ok(sku(index)?.stock_stream())
}

pub(super) fn sku(index: u32) -> Result<Sku> {
    Ok(format!("history-{index}").parse()?)
}

impl History {
    pub(super) async fn append(self, log: &dyn EventLog) -> Result<()> {
        let shard_count = log.shard_count();
        let mut streams = vec![Vec::new(); usize::try_from(shard_count)?];
        for index in 0..self.aggregates {
            let stream = stream(index)?;
            let shard = usize::try_from(shard_of(&stream, shard_count).index())?;
            streams.get_mut(shard).context("a shard of the log")?.push(stream);
        }
        for (shard, streams) in (0..).map(ShardId::new).zip(streams) {
            let share = u64::from(self.events) * u64::try_from(streams.len())?;
            let events = share / u64::from(self.aggregates);
            self.append_shard(log, shard, &streams, events).await?;
        }
        Ok(())
    }

    async fn append_shard(
        self,
        log: &dyn EventLog,
        shard: ShardId,
        streams: &[StreamId],
        events: u64,
    ) -> Result<()> {
        let mut shard = Owner::claim(log, shard).await?;
        let start = Clock::System.now().minus(REACH);
        let received = json!({ "type": "received", "data": { "quantity": 1 } });
        let event = Event::Stock(serde_json::from_value(received)?);
        let (event_type, value) = codec::encode(&event);
        for seq in 1..=events {
            let turn = usize::try_from((seq - 1) % u64::try_from(streams.len())?)?;
            let stream = streams.get(turn).context("a stream")?.clone();
            let revision = 1 + (seq - 1) / u64::try_from(streams.len())?;
            let passed = REACH.as_secs_f64() * as_part(seq, events);
            let recorded_at = start.plus(Duration::from_secs_f64(passed));
            let event = sample::stored(stream, revision, event_type.clone(), value.clone());
            shard.commit(vec![EventRecord { recorded_at, ..event }]).await?;
        }
        Ok(shard.finish().await?)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a moment in a made-up history")]
fn as_part(seq: u64, events: u64) -> f64 {
    seq as f64 / events as f64
}
