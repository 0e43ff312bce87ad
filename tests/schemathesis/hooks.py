"""What schemathesis cannot know of the contracts of Tradewind.

A contract says which requests are well formed. What depends on state, on time or on who asks cannot stand in
it: these refusals of well formed requests are right, and all others are findings. Nothing else is left out.
"""

import json

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.openapi.checks import RejectedPositiveData

# Codes of refusals that depend on something that no schema sees.
DEPENDS = {
    # On the revision of the stream.
    412: {"revision_mismatch", "precondition_failed"},
    # On the tokens that were given out: for clients they are opaque.
    400: {"invalid_cursor", "invalid_position"},
    # On what else the same client has under way.
    429: {"too_many_of_your_replays"},
    # On how large all of it is together.
    413: {"body_too_large", "command_too_large"},
    414: {"uri_too_long"},
    422: {
        # On the requests before this one.
        "idempotency_key_reused",
        # On who asks: a guest without a cart.
        "idempotency_key_guessable",
        # On the catalogue, the cart and the stock, and on the time.
        "sku_not_sellable",
        "api_key.expires_in_past",
        "cart.adjustments_not_allowed",
        "cart.amount_too_large",
        "cart.cash_needs_till",
        "cart.currency_differs",
        "cart.email_missing",
        "cart.empty",
        "cart.occurred_at_in_future",
        "cart.occurred_at_not_allowed",
        "cart.quantity",
        "cart.shipping_address_missing",
        "cart.till_needs_staff",
        "cart.too_large",
        "cart.too_many_lines",
        "cart.total_negative",
        "product.currency_differs",
        "product.too_large",
        # On how much has happened.
        "history_too_long",
        "stock.insufficient",
        "stock.limit_reached",
    },
}

# Fields that are wrong together with others, or by what no keyword of JSON Schema says: operation, beginning of
# the pointer, code.
TOGETHER = {
    ("list_products", "/max_price", "out_of_range"),  # below min_price
    ("report_sales", "/to", "out_of_range"),  # before from
    ("replay_events", "/to", "out_of_range"),  # before from
    ("replay_events", "/to", "unexpected"),  # with follow
    ("replay_events", "/columns", "unexpected"),  # without format=csv
    *[(f"get_{thing}", pointer, code)
      for thing in ("product", "stock", "cart", "order")
      for pointer, code in (
          ("/as_of", "out_of_range"),  # in the future
          ("/as_of", "required"),  # diff without it
          ("/as_of", "other_shard"),  # a position of others
          ("/diff", "out_of_range"),  # in the future, or before as_of
          ("/diff", "other_shard"),
      )],
    ("report_sales", "/limit", "required"),  # cursor without it
    ("report_sales", "/group_by", "too_many"),  # more groups than a report holds
    ("check_out_cart", "/order_id", "not_allowed"),  # for staff only
    ("check_out_cart", "/customer_reference", "not_allowed"),  # for staff only
    ("create_product", "/attributes/", "invalid"),  # a decimal of more than 15 digits
    ("create_product", "/attributes/", "out_of_range"),  # or of more than 22 places
    ("update_product", "/attributes/", "invalid"),
    ("update_product", "/attributes/", "out_of_range"),
    ("edit_dead_letter", "/data", "not_an_event"),  # what is an event the letter's own type says
}


@schemathesis.hook
def before_call(context, case, kwargs):
    """A replay of so many events a second takes as long as it says, and one that follows for ever. How fast it
    goes changes nothing of what comes."""
    query = case.query or {}
    rate = str(query.get("rate", ""))
    if operation_id(case) == "replay_events":
        if rate.isascii() and rate.isdigit() and rate.strip("0"):
            query["rate"] = "1000000"
        if str(query.get("follow", "")).lower() == "true":
            query["follow"] = "false"


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """False for what is no finding."""
    if isinstance(failure, RejectedPositiveData):
        return not is_right(case, response)
    if isinstance(failure, AcceptedNegativeData):
        # Refused all the same, before anybody looked at what else is wrong.
        if response.status_code == 414:
            return False
        # Whatever bytes a stream of lines is made of, each line is answered for itself.
        return operation_id(case) != "send_batch"
    return True


def is_right(case, response):
    problem = response.json()
    code = problem.get("code")
    if code == "invalid_field":
        errors = problem["errors"]
        return all(is_together(operation_id(case), error) for error in errors)
    return code in DEPENDS.get(response.status_code, ())


def is_together(operation, error):
    return any(
        operation == of and error["pointer"].startswith(pointer) and error["code"] == code
        for of, pointer, code in TOGETHER
    )


def operation_id(case):
    return case.operation.definition.raw.get("operationId")


@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    """A text is what it is; anything else is a line."""
    text = value if isinstance(value, (str, bytes)) else json.dumps(value)
    return text if isinstance(text, bytes) else text.encode()
