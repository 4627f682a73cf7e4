"""Messages and channels of ``[notify]`` for tests."""

from typing import Any

from pydantic import SecretStr

from service.notify.messages import AboutStore, Message
from service.stores import Notify

NASTY = "<!channel> [x](https://evil.example) *b* & <script>alert(1)</script>"
"""What a shopper or a store's field may be called: markup of every channel."""

SECRET = "a-secret-of-at-least-24-bytes"


def a_message(**changes: Any) -> Message:
    """A message that an alert of one store began; ``changes`` are its fields."""
    fields: dict[str, Any] = {
        "id": "msg_1",
        "alert": "FailedOrdersWait",
        "event": "began",
        "severity": "warning",
        "title": "Failed orders wait for a person",
        "summary": "",
        "stores": (AboutStore(store="abc123", name="Great Buys", summary="3 failed orders wait."),),
        "since": 1_768_078_800.0,
        "at": 1_768_079_100.0,
        "what_to_do": "Fix the cause.",
        "link": "https://enrich.example.com/failures?store=abc123",
    }
    return Message(**(fields | changes))


def a_table(**keys: Any) -> Notify:
    """The table ``[notify]`` with these keys; texts of secrets are wrapped."""
    secret = ("webhook", "slack", "teams", "mail", "secret")
    wrapped = {
        key: [SecretStr(one) for one in ([value] if isinstance(value, str) else value)] if key in secret else value
        for key, value in keys.items()
    }
    return Notify.model_validate(wrapped)
