#!/usr/bin/env python3
"""Every event of a replay against the AsyncAPI document: `events.py <query API>`.

Reads TRADEWIND_OPERATOR_KEY, a key with the role analyst. Prints how many events of each type there were.
"""

import collections
import json
import os
import sys
import urllib.request

from jsonschema import Draft202012Validator, FormatChecker

WAIT_MAX_S = 60
"""For each piece of an answer."""


def get(url, key=None):
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=WAIT_MAX_S)


def validators(document):
    """What each message's payload must be, by the type of its event."""
    components = document["components"]

    def validator(message):
        schema = {**message["payload"], "components": components}
        return Draft202012Validator(schema, format_checker=FormatChecker())

    return {name: validator(message) for name, message in components["messages"].items()}


def replay(url, key):
    """The events; whatever else stands between them tells how far they go."""
    left = None
    for line in get(url, key):
        line = json.loads(line)
        if "problem" in line:
            sys.exit(f"the replay failed: {line['problem']}")
        if "cursor" in line:
            left = line["left"]
        else:
            yield line
    if left != 0:
        sys.exit(f"the replay was cut off: {left} records are left")


def main(url):
    key = os.environ["TRADEWIND_OPERATOR_KEY"]
    known = validators(json.load(get(f"{url}/asyncapi.json")))
    failed = 0
    for raw in ("true", "false"):
        found = collections.Counter()
        for event in replay(f"{url}/v1/events?raw={raw}", key):
            validator = known.get(event["type"])
            errors = validator.iter_errors(event) if validator else ["the document has no such type"]
            for error in errors:
                failed += 1
                print(f"{event['type']} {event['subject']} revision {event['revision']}: {error}", file=sys.stderr)
            found[event["type"]] += 1
        for event_type, count in sorted(found.items()):
            print(f"raw={raw} {event_type} {count}")
        print(f"raw={raw}: {sum(found.values())} events of {len(found)} types")
        if not found:
            failed += 1
            print("there are no events", file=sys.stderr)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
