"""Which orders are skipped."""

from typing import Any

import pytest
from pydantic import SecretStr

from service.orders.values.skip import SkipReason, skip_reason
from service.stores import Rule, Store

ORDER = {"customer_id": 7, "status_id": 11, "channel_id": 1, "is_deleted": False}


def store(**keys: Any) -> Store:
    secret = SecretStr("s")
    return Store(hash="abc123", access_token=(secret,), client_secret=(secret,), po_number=Rule(value="A-1"), **keys)


@pytest.mark.parametrize(
    ("order", "keys", "reason"),
    [
        ({}, {}, None),
        ({"is_deleted": True}, {}, "deleted"),
        ({"is_deleted": "true"}, {}, None),
        ({"external_source": "enrich rehearse"}, {}, "rehearsal"),
        ({"external_source": "enrich rehearse", "channel_id": 2}, {"channels": {1}}, "rehearsal"),
        ({"external_source": "ERP"}, {}, None),
        ({"staff_notes": "Test order of `enrich rehearse`"}, {}, None),
        ({"channel_id": 2}, {"channels": {1}}, "channel"),
        ({"channel_id": "1"}, {"channels": {1}}, None),
        ({"channel_id": None}, {"channels": {1}}, "channel"),
        ({"channel_id": 2}, {}, None),
        ({"customer_id": 0}, {}, "guest"),
        ({"customer_id": None}, {}, "guest"),
        ({"customer_id": "7"}, {}, None),
        ({"status_id": 0}, {}, None),
        ({"status_id": 0}, {"incomplete_orders": "skip"}, "incomplete"),
        ({"status_id": 0}, {"incomplete_orders": "wait"}, "incomplete"),
        ({"status_id": None}, {"incomplete_orders": "skip"}, None),
        ({"status_id": 0, "customer_id": 0, "is_deleted": True}, {"incomplete_orders": "wait"}, "deleted"),
        ({"status_id": 0, "customer_id": 0}, {"incomplete_orders": "wait"}, "guest"),
    ],
)
def test_an_order_is_skipped_for_the_first_reason_that_applies(
    order: dict[str, Any], keys: dict[str, Any], reason: SkipReason | None
) -> None:
    assert skip_reason({**ORDER, **order}, store(**keys)) == reason
