#!/usr/bin/env python3
"""Prints what the CloudEvents SDK makes of each record of a topic, a line of JSON each.

    cloud_events.py BOOTSTRAP_SERVERS TOPIC

It knows nothing of the log: neither which records count, nor what the extensions mean.
"""

import json
import sys
from datetime import timezone

from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from confluent_kafka import Consumer

from read_log import WAIT_MAX, messages


def cloud_event(message):
    headers = {name: value or b"" for name, value in message.headers() or []}
    return from_kafka(KafkaMessage(headers, message.key(), message.value()), JSONFormat(), CloudEvent)


CORE = {"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema"}


def seen(message):
    try:
        event = cloud_event(message)
        time = event.get_time().astimezone(timezone.utc)
    except Exception as error:  # Whatever the SDK says of what is no CloudEvent.
        return {"error": f"{type(error).__name__}: {error}"}
    attributes = event.get_attributes()
    return {
        "id": event.get_id(),
        "source": event.get_source(),
        "type": event.get_type(),
        "subject": event.get_subject(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "extensions": {name: attributes[name] for name in attributes if name not in CORE},
        "data": event.get_data(),
    }


def main(servers, topic):
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "cloud_events"})
    partitions = sorted(consumer.list_topics(topic, timeout=WAIT_MAX).topics[topic].partitions)
    for partition in partitions:
        for message in messages(servers, topic, partition):
            line = {"partition": partition, "offset": message.offset(), **seen(message)}
            print(json.dumps(line, ensure_ascii=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
