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
        ("sku", Plain("key"), "Its stream is stock/<sku>."),
        (
            "movement",
            Plain(NAME),
            "received, adjusted, returned; reserved for an order, and then committed, released or expired.",
        ),
        (
            "quantity",
            Plain("(data->>'quantity')::bigint"),
            "Units that it is about; null where it was adjusted.",
        ),
        ("delta", Plain("(data->>'delta')::bigint"), "By how many units it was adjusted."),
        (
            "on_hand_change",
            Plain(
                "CASE split_part(type, '.', 3) WHEN 'adjusted' THEN (data->>'delta')::bigint \
                 WHEN 'received' THEN (data->>'quantity')::bigint \
                 WHEN 'returned' THEN (data->>'quantity')::bigint \
                 WHEN 'committed' THEN -(data->>'quantity')::bigint ELSE 0 END",
            ),
            "What it did to the units that are there: their sum is on_hand.",
        ),
        (
            "reservation_id",
            Plain("(data->>'reservation_id')::uuid"),
            "Of what was held, if it is about that.",
        ),
        ("order_id", Plain("(data->>'order_id')::uuid"), "Of the order that it was reserved for."),
        REVISION,
        ACTOR,
    ],
    from: "(SELECT * FROM {schema}.events WHERE kind = 'stock') AS events",
};
