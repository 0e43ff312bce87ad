#!/usr/bin/env python3
"""Prints the commits of one partition of the log, a line of JSON each; docs/log.md tells the rules.

    read_log.py BOOTSTRAP_SERVERS TOPIC PARTITION [LINE]

It begins at the first record, or behind a LINE that it printed before, and ends where the log ended at its
start. Its last line counts the records that it passed over, by reason.
"""

import json
import re
import sys
from collections import Counter

from confluent_kafka import Consumer, TopicPartition

WAIT_MAX = 30  # seconds for an answer of the brokers

# The attributes that every record of a kind has, as JSON writes them, and the members of its data.
NATURAL, POSITIVE, NONCE, TEXT = r"\d+", r"[1-9]\d*", '"[0-9a-f]{16}"', '".*"'
UUID = '"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"'
TIME = r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"'
ALWAYS = {"specversion": '"1.0"', "logversion": NATURAL, "source": '"/tradewind"'}
PLACE = {"epoch": NATURAL, "claim": NONCE, "seq": POSITIVE, "index": NATURAL, "count": POSITIVE, "time": TIME}
EVENT = {"id": UUID, "type": TEXT, "subject": TEXT, "revision": POSITIVE, "commandid": UUID, "actor": TEXT}
ATTRIBUTES = {
    "claim": {**ALWAYS, "type": '"tradewind.log.claim.v1"', "claim": NONCE},
    "barrier": {**ALWAYS, **PLACE, "type": '"tradewind.log.barrier.v1"'},
    "event": {**ALWAYS, **PLACE, **EVENT},
}
# Those that it may have, where they are there; and all texts and numbers that have a meaning.
OPTIONAL = {"correlationid": UUID, "causationid": UUID, "requesthash": '"[0-9a-f]{32}"'}
NUMBERS = {"logversion", "epoch", "seq", "index", "count", "revision"}
TEXTS = {*ALWAYS, *PLACE, *EVENT, *OPTIONAL, "kind", "traceparent"} - NUMBERS
DATA = {"claim": {"node", "url", "started_at", "software"}, "barrier": {"outcomes"}, "event": set()}


def messages(servers, topic, partition, begin=None):
    """The messages of a partition up to its end as it is now, with no hole between them."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "read_log", "auto.offset.reset": "error"})
    first, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=WAIT_MAX)
    begin = first if begin is None else begin
    consumer.assign([TopicPartition(topic, partition, begin)])
    for offset in range(begin, end):
        message = consumer.poll(WAIT_MAX)
        if message is None or message.error() or message.offset() != offset:
            sys.exit(f"offset {offset} cannot be read: {message and (message.error() or message.offset())}")
        yield message
    consumer.close()


class Members(dict):
    """An object of JSON that knows which names came twice."""

    def __init__(self, pairs):
        super().__init__((name, value) for name, value in pairs if value is not None)
        self.doubled = {name for name, times in Counter(name for name, _ in pairs).items() if times > 1}


def parse(message):
    """The attributes of a record of the log, with the defaults of absent ones; None for any other message."""
    try:
        members = json.loads(message.value().decode(), object_pairs_hook=Members)
        record = {"index": 0, "count": 1, **members}
        kind = record["kind"]
        forms = {**ATTRIBUTES[kind], **(OPTIONAL if kind == "event" else {})}
        is_ours = (
            dict(message.headers())["content-type"] == b"application/cloudevents+json"
            and message.key().decode() == (record["subject"] if kind == "event" else kind)
            and not members.doubled & {*TEXTS, *NUMBERS, "data"}
            and all(isinstance(record[name], str) for name in TEXTS & record.keys())
            and all(type(record[name]) is int for name in NUMBERS & record.keys())
            and ATTRIBUTES[kind].keys() <= record.keys()
            and all(re.fullmatch(form, json.dumps(record[name])) for name, form in forms.items() if name in record)
            and (kind == "claim" or record["index"] < record["count"])
            and ("data" in record and DATA[kind] <= set(record["data"] if kind != "event" else []))
        )
        if is_ours and record["logversion"] != 2:
            sys.exit(f"offset {message.offset()} has log version {record['logversion']}, which this cannot read")
        return record if is_ours else None
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return None


def continues(partial, record):
    """Whether a record of the commit that is due is the next one of it."""
    if record["kind"] == "barrier":
        return not partial and record["count"] == 1
    alike = all((one["count"], one["commandid"]) == (record["count"], record["commandid"]) for one in partial)
    return alike and record["index"] == len(partial)


def commits(messages, ignored, epoch=-1, claim=None, seq=0, **_):
    """The reader machine: which records count, and where commits begin and end."""
    partial = []
    for message in messages:
        record = parse(message)
        if record is None:
            ignored["foreign"] += 1
        elif record["kind"] == "claim":
            epoch, claim, partial = message.offset(), record["claim"], []
        elif (record["epoch"], record["claim"]) != (epoch, claim):
            ignored["stale_epoch"] += 1
        elif record["seq"] <= seq:
            ignored["duplicate"] += 1
        elif record["seq"] > seq + 1:
            ignored["gap"] += 1
        elif not continues(partial, record):
            ignored["out_of_place"] += 1
        else:
            partial.append(record)
            if len(partial) == record["count"]:
                yield {"epoch": epoch, "claim": claim, "seq": seq + 1, "next_offset": message.offset() + 1}, partial
                seq, partial = seq + 1, []


def line(place, records):
    if records[0]["kind"] == "barrier":
        return {**place, "kind": "barrier", "events": [], **records[0]["data"]}
    names = ["id", "type", "subject", "revision", "data"]
    return {**place, "kind": "events", "events": [{name: event[name] for name in names} for event in records]}


def main(servers, topic, partition, after="{}"):
    after, shard, ignored = json.loads(after), int(partition), Counter()
    source = messages(servers, topic, shard, after.get("next_offset"))
    for place, records in commits(source, ignored, **after):
        print(json.dumps({"shard": shard, **line(place, records)}, ensure_ascii=False))
    print(json.dumps({"shard": shard, "ignored": ignored}))


if __name__ == "__main__":
    main(*sys.argv[1:])
