//! An event of the journal as others than those it is about may see it.

use domain::id::StreamId;
use infra::{
    http::problem::Problem,
    log::Nonce,
    position::{Entry, Position},
};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{read_model::Kept, replay::Pseudonyms};

/// An event: a CloudEvent, with the attributes that a line of a replay has, but for those that say which
/// writer wrote it.
#[derive(Serialize, ToSchema)]
#[schema(as = RecordedEvent)]
pub(super) struct Recorded {
    #[schema(example = "1.0")]
    specversion: &'static str,
    id: Uuid,
    #[schema(example = "/tradewind")]
    source: &'static str,
    /// In its newest version.
    #[serde(rename = "type")]
    #[schema(example = "tradewind.order.placed.v1")]
    event_type: String,
    /// The stream.
    #[schema(example = "order/01890a5d-ac96-774b-bcce-b302099a8057")]
    subject: String,
    /// When it was recorded.
    #[schema(value_type = String, format = DateTime)]
    time: domain::timestamp::Timestamp,
    #[schema(example = 0)]
    shard: u32,
    /// Number of its commit in the shard.
    #[schema(example = 17)]
    seq: u64,
    /// Its place in the commit, where that is not the first.
    #[serde(skip_serializing_if = "is_first")]
    index: u32,
    /// Of the stream after it.
    #[schema(example = 1)]
    revision: u64,
    commandid: Uuid,
    /// Where it is not the command's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    correlationid: Option<Uuid>,
    /// Where it is not the command's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    causationid: Option<Uuid>,
    /// Who acted.
    #[schema(example = "guest")]
    actor: String,
    /// A `Tradewind-Position` that reaches as far as this event.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    position: Option<Position>,
    #[schema(value_type = Object)]
    data: Box<RawValue>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it so")]
const fn is_first(index: &u32) -> bool {
    *index == 0
}

/// # Errors
/// If its data are not JSON.
pub(super) fn shown(
    stream: &StreamId,
    event: &Kept,
    names: &Pseudonyms,
    known: &Position,
) -> Result<Recorded, Problem> {
    let masked = names.mask(&event.event_type, &event.data);
    let masked = masked.and_then(|data| String::from_utf8(data).ok());
    let data = masked.and_then(|data| RawValue::from_string(data).ok());
    let unreadable = || Problem::internal(format!("event {} of {stream} is no JSON", event.id));
    let other = |id: Uuid| (id != event.command_id).then_some(id);
    // Columns hold what was counted from zero.
    let shard = event.shard.unsigned_abs();
    Ok(Recorded {
        specversion: "1.0",
        id: event.id,
        source: "/tradewind",
        event_type: event.event_type.to_string(),
        subject: stream.to_string(),
        time: event.recorded_at,
        shard,
        seq: event.seq.unsigned_abs(),
        index: event.index.unsigned_abs(),
        revision: event.revision.unsigned_abs(),
        commandid: event.command_id,
        correlationid: other(event.correlation_id),
        causationid: other(event.causation_id),
        actor: event.actor.clone(),
        position: log_of(known, shard).map(|(of, log)| Position::of(of, log, event.next_offset)),
        data: data.ok_or_else(unreadable)?,
    })
}

/// The log of a shard, by what the journal has applied of it.
fn log_of(known: &Position, shard: u32) -> Option<(domain::shard::ShardId, Nonce)> {
    let is_it = |entry: &Entry| entry.shard.index() == shard;
    known.entries().find(is_it).map(|entry| (entry.shard, entry.log_id))
}
