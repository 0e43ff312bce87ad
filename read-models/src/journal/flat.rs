//! What happened, for analysts: the envelopes of all events, and how stock moved. The data of other events are not
//! here, for who a text in them tells of no SQL can know; replays and tables show them with pseudonyms.

use crate::{Flat, FlatColumn, Shows::Plain};

const RECORDED_AT: FlatColumn = ("recorded_at", Plain("recorded_at"), "When it was recorded.");
const REVISION: FlatColumn =
    ("revision", Plain("revision"), "Its place among the events of its stream, from 1.");
const ACTOR: FlatColumn =
    ("actor", Plain("actor"), "Who acted: guest, key:<id>, or process:<name>.");
/// The name of an event without its kind and version: tradewind.stock.received.v1 is received.
const NAME: &str = "split_part(type, '.', 3)";

pub(super) const EVENTS: Flat = Flat {
    name: "events",
    about: "A row per event, without its data.",
    columns: &[
        RECORDED_AT,
        ("kind", Plain("kind"), "What it happened to: order, cart, stock and so on."),
        ("name", Plain(NAME), "What happened: placed, confirmed, received and so on."),
        ("type", Plain("type"), "Both, and the version of the event's data."),
        ("stream", Plain("kind || '/' || key"), "The one thing that it happened to."),
        REVISION,
        ("id", Plain("id"), "Of the event."),
        ACTOR,
        ("command_id", Plain("command_id"), "Of the command that it comes of."),
        (
            "correlation_id",
            Plain("coalesce(correlation_id, command_id)"),
            "The same for all that one request led to.",
        ),
        ("causation_id", Plain("coalesce(causation_id, command_id)"), "What led to it directly."),
        ("shard", Plain("shard"), "Of the log."),
        ("seq", Plain("seq"), "The number of its commit in the shard."),
        ("index", Plain("index"), "Its place in the commit, from 0."),
    ],
    from: "{schema}.events",
};

pub(super) const STOCK_MOVEMENTS: Flat = Flat {
    name: "stock_movements",
    about: "A row per event of a stock: what came, went, was held, or was let go.",
    columns: &[
        RECORDED_AT,
        ("sku", Plain("sku"), "Its stream is stock/<sku>."),
        (
            "movement",
            Plain("movement"),
            "received, adjusted, returned; reserved for an order, and then committed, released or expired.",
        ),
        ("quantity", Plain("quantity"), "Units that it is about; null where it was adjusted."),
        ("delta", Plain("delta"), "By how many units it was adjusted."),
        (
            "on_hand_change",
            Plain(
                "CASE movement WHEN 'adjusted' THEN delta WHEN 'received' THEN quantity \
                 WHEN 'returned' THEN quantity WHEN 'committed' THEN -quantity ELSE 0 END",
            ),
            "What it did to the units that are there: their sum is on_hand.",
        ),
        ("reservation_id", Plain("reservation_id"), "Of what was held, if it is about that."),
        ("order_id", Plain("order_id"), "Of the order that it was reserved for."),
        REVISION,
        ACTOR,
    ],
    // The journal keeps what nobody can read, too, and one strange value must not break the sum of all others:
    // what is no number or no id is null.
    from: "(SELECT recorded_at, key AS sku, split_part(type, '.', 3) AS movement, revision, actor,
            CASE WHEN jsonb_typeof(data->'quantity') = 'number' THEN
                CASE WHEN abs((data->>'quantity')::numeric) < 9e18
                    THEN (data->>'quantity')::numeric::bigint END END AS quantity,
            CASE WHEN jsonb_typeof(data->'delta') = 'number' THEN
                CASE WHEN abs((data->>'delta')::numeric) < 9e18
                    THEN (data->>'delta')::numeric::bigint END END AS delta,
            CASE WHEN data->>'reservation_id' ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                THEN (data->>'reservation_id')::uuid END AS reservation_id,
            CASE WHEN data->>'order_id' ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                THEN (data->>'order_id')::uuid END AS order_id
        FROM {schema}.events WHERE kind = 'stock') AS movements",
};
