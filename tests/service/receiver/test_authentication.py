"""Authentication of webhooks."""

import base64
from typing import Any
from unittest.mock import patch

import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook
from starlette.datastructures import Headers

from service.receiver.authentication import Refusal, StoreRegistry
from tests.fakes.webhooks import SECRET, a_body, a_store, signed

BODY = a_body()
KEY = {"X-Enrich-Key": SecretStr("hook key")}


def refusal(headers: dict[str, str], body: bytes = BODY, store_hash: str = "abc123", **store: Any) -> Refusal | None:
    return StoreRegistry({"abc123": a_store(**store)}).refusal(store_hash, Headers(headers), body.decode())


def test_signature_of_the_client_secret_is_accepted() -> None:
    assert refusal(signed(BODY)) is None


def test_either_secret_is_accepted_while_it_rotates() -> None:
    secrets = [SecretStr("old"), SecretStr("new")]
    assert refusal(signed(BODY, "old"), client_secret=secrets) is None
    assert refusal(signed(BODY, "new"), client_secret=secrets) is None
    assert refusal(signed(BODY, "older"), client_secret=secrets) is Refusal.BAD_SIGNATURE


@pytest.mark.parametrize("others", ["v1,AAAA", "v2,xyz", "nonsense", "v1,", ",", "v1,a,b", "é", "v1," + "A" * 43 + "="])
@pytest.mark.parametrize("template", ["{good} {others}", "{others} {good}", "{others}  {good} "])
def test_a_valid_signature_counts_beside_any_other_text(others: str, template: str) -> None:
    headers = signed(BODY)
    headers["webhook-signature"] = template.format(good=headers["webhook-signature"], others=others)
    assert refusal(headers) is None


@pytest.mark.parametrize("age", [-290, 290])
def test_five_minutes_either_way_are_allowed(age: int) -> None:
    assert refusal(signed(BODY, age=age)) is None


@pytest.mark.parametrize("age", [-310, 310, 1e9, -1e10])
def test_older_or_newer_is_stale(age: float) -> None:
    assert refusal(signed(BODY, age=age)) is Refusal.STALE


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"webhook-signature": ""}, Refusal.UNSIGNED),
        ({"webhook-id": ""}, Refusal.BAD_SIGNATURE),
        ({"webhook-timestamp": ""}, Refusal.BAD_SIGNATURE),
        ({"webhook-timestamp": "nan"}, Refusal.BAD_SIGNATURE),
        ({"webhook-timestamp": "inf"}, Refusal.BAD_SIGNATURE),
        ({"webhook-timestamp": "9" * 400}, Refusal.BAD_SIGNATURE),
        ({"webhook-timestamp": "soon"}, Refusal.BAD_SIGNATURE),
        ({"webhook-id": "msg_2"}, Refusal.BAD_SIGNATURE),
        ({"webhook-id": "é"}, Refusal.BAD_SIGNATURE),
        ({"webhook-signature": "v1,"}, Refusal.BAD_SIGNATURE),
        ({"webhook-signature": "v1,A"}, Refusal.BAD_SIGNATURE),
        ({"webhook-signature": "v1,é"}, Refusal.BAD_SIGNATURE),
        ({"webhook-signature": "v1," + base64.b64encode(bytes(32)).decode()}, Refusal.BAD_SIGNATURE),
    ],
)
def test_anything_else_is_refused(changes: dict[str, str], expected: Refusal) -> None:
    assert refusal(signed(BODY) | changes) is expected


def test_signature_of_another_body_is_refused() -> None:
    assert refusal(signed(a_body(data={"type": "order", "id": 251}))) is Refusal.BAD_SIGNATURE


def test_headers_alone_authenticate_without_a_client_secret() -> None:
    store: dict[str, Any] = {"client_secret": None, "webhook_headers": KEY}
    assert refusal({"x-enrich-key": "hook key"}, **store) is None
    assert refusal({"X-ENRICH-KEY": "hook key"}, **store) is None
    assert refusal({"x-enrich-key": "hook keys"}, **store) is Refusal.BAD_HEADER
    assert refusal({"x-enrich-key": "é"}, **store) is Refusal.BAD_HEADER
    assert refusal(signed(BODY), **store) is Refusal.BAD_HEADER


def test_every_configured_header_must_have_one_of_its_values() -> None:
    store: dict[str, Any] = {
        "client_secret": None,
        "webhook_headers": {"A": [SecretStr("1"), SecretStr("2")], "B": SecretStr("3")},
    }
    assert refusal({"a": "1", "b": "3"}, **store) is None
    assert refusal({"a": "2", "b": "3"}, **store) is None
    assert refusal({"a": "2"}, **store) is Refusal.BAD_HEADER
    assert refusal({"a": "3", "b": "3"}, **store) is Refusal.BAD_HEADER


def test_both_are_needed_where_both_are_configured() -> None:
    both: dict[str, Any] = {"webhook_headers": KEY}
    assert refusal(signed(BODY) | {"x-enrich-key": "hook key"}, **both) is None
    assert refusal(signed(BODY), **both) is Refusal.BAD_HEADER
    assert refusal({"x-enrich-key": "hook key"}, **both) is Refusal.UNSIGNED


def test_an_unknown_store_is_refused_with_any_headers() -> None:
    for headers in ({}, signed(BODY), signed(BODY, "guessed")):
        assert refusal(headers, store_hash="other1") is Refusal.UNKNOWN_STORE


@pytest.mark.parametrize(
    "store",
    [
        {},
        {"client_secret": [SecretStr("old"), SecretStr("new")]},
        {"client_secret": None, "webhook_headers": KEY},
    ],
)
@pytest.mark.parametrize("store_hash", ["abc123", "other1"])
def test_refusing_costs_the_same_for_every_store_and_for_none(store: dict[str, Any], store_hash: str) -> None:
    with patch.object(Webhook, "verify", autospec=True, side_effect=Webhook.verify) as verify:
        assert refusal(signed(BODY, "guessed"), store_hash=store_hash, **store) is not None
    assert verify.call_count == 2


def test_replaced_stores_are_the_only_ones_known() -> None:
    registry = StoreRegistry({"abc123": a_store()})
    registry.replace({"other1": a_store("other1", client_secret=SecretStr("another secret"))})
    assert registry.get("abc123") is None
    assert registry.refusal("abc123", Headers(signed(BODY, SECRET)), BODY.decode()) is Refusal.UNKNOWN_STORE
    store = registry.get("other1")
    assert store is not None
    assert store.hash == "other1"
    assert registry.refusal("other1", Headers(signed(BODY, "another secret")), BODY.decode()) is None
