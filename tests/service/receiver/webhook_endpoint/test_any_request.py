"""Any request: nothing is queued without a secret, and any payload is 400 or 200."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from service.hooks import WEBHOOK_PATH
from tests.fakes.webhooks import FakeQueue, a_body, a_store
from tests.service.receiver.webhook_endpoint.conftest import post, receiver

# Mostly almost valid, so that the later checks are reached too.
scopes = st.sampled_from(["store/order/created", "store/order/statusUpdated", "store/cart/created"]) | st.text()
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
payloads = st.fixed_dictionaries(
    {},
    optional={
        "scope": scopes | json_values,
        "producer": st.sampled_from(["stores/abc123", "stores/evil"]) | json_values,
        "data": st.fixed_dictionaries({}, optional={"type": st.just("order") | json_values, "id": json_values})
        | json_values,
        "hash": json_values,
        "created_at": json_values,
    },
)
bodies = st.binary(max_size=300) | payloads.map(lambda payload: json.dumps(payload).encode()) | st.just(a_body())
header_names = st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "content-length", "x-key"])
header_values = (
    st.binary(max_size=80)
    | st.sampled_from([b"v1," + b"A" * 43 + b"=", b"v1,AAAA", b"1e400", b"nan", b"0", b"9" * 20])
    | st.integers(1_500_000_000, 2_000_000_000).map(lambda number: str(number).encode())
)


@given(body=bodies, headers=st.dictionaries(header_names, header_values))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_without_a_secret_no_request_is_queued(body: bytes, headers: dict[str, bytes]) -> None:
    queue = FakeQueue()
    stores = a_store(), a_store("other1", client_secret=None, webhook_headers={"x-key": SecretStr("k" * 100)})
    async with receiver(queue, *stores) as client:
        sent: Any = [(name.encode(), value) for name, value in headers.items()]
        answer = await client.post(WEBHOOK_PATH, content=body, headers=sent)
    assert answer.status_code in (400, 401, 413)
    assert (answer.content, queue.webhooks) == (b"", [])


@given(payload=payloads)
@settings(deadline=None)
async def test_with_a_good_signature_any_payload_is_400_or_200(payload: dict[str, Any]) -> None:
    queue = FakeQueue()
    body = json.dumps(payload | {"producer": "stores/abc123"}).encode()
    async with receiver(queue) as client:
        answer = await post(client, body)
    assert answer.status_code in (200, 400)
    for webhook in queue.webhooks:
        assert webhook.scope in ("store/order/created", "store/order/statusUpdated")
        assert 0 < webhook.order_id < 2**63
