"""Signed webhooks as raw HTTP requests, built before the measurement."""

import json
import time
from base64 import b64encode
from collections.abc import Sequence
from hmac import digest

from tests.bench.rig.processes import SECRET


def request(path: str, store: str, order_id: int, sent_at: float) -> bytes:
    """The HTTP request with the webhook of a new order, as BigCommerce sends and signs it."""
    now = int(sent_at)
    body = json.dumps(
        {
            "scope": "store/order/created",
            "store_id": "1025646",
            "data": {"type": "order", "id": order_id},
            "hash": "dd70c0976e06b67aaf671e73f49dcb79230ebf9d",
            "created_at": now,
            "producer": f"stores/{store}",
        }
    ).encode()
    webhook_id = f"msg-{store}-{order_id}"
    signature = b64encode(digest(SECRET.encode(), f"{webhook_id}.{now}.".encode() + body, "sha256")).decode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nAccept: */*\r\nContent-Type: application/json\r\n"
        f"User-Agent: Bench\r\nwebhook-id: {webhook_id}\r\nwebhook-timestamp: {now}\r\n"
        f"webhook-signature: v1,{signature}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def requests(path: str, stores: Sequence[str], count: int, first_id: int) -> list[bytes]:
    """``count`` webhooks, each of a different order, spread over the stores."""
    now = time.time()
    return [
        request(path, stores[number % len(stores)], first_id + number // len(stores), now) for number in range(count)
    ]
