"""A signed webhook, by the Standard Webhooks specification, which BigCommerce's webhooks follow, too.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pydantic import SecretStr
from standardwebhooks import Webhook

from service.notify.channels.channel import HttpChannel
from service.notify.messages import Message
from service.stores.notify_table import signing_key


class WebhookChannel(HttpChannel):
    """Posts a message as JSON, signed with each of the secrets."""

    def __init__(self, position: int, url: SecretStr, secrets: Sequence[SecretStr]) -> None:
        super().__init__("webhook", position, url)
        self._signers = [Webhook(signing_key(secret)) for secret in secrets]

    def request(self, message: Message) -> tuple[bytes, Mapping[str, str]]:
        """The signed body. Its id stays the same when it is sent again, its timestamp is that of the attempt."""
        now = datetime.now(UTC)
        body = json.dumps(_payload(message), separators=(",", ":"))
        return body.encode(), {
            "webhook-id": message.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signer.sign(message.id, now, body) for signer in self._signers),
        }


def _payload(message: Message) -> dict[str, object]:
    return {
        "type": "test" if message.event == "test" else f"alert.{message.event}",
        "timestamp": _iso(message.at),
        "data": {
            "alert": message.alert,
            "severity": message.severity,
            "title": message.title,
            "summary": message.summary,
            "stores": [about.model_dump() for about in message.stores],
            "more_stores": message.more_stores,
            "since": _iso(message.since),
            "what_to_do": message.what_to_do,
            "link": message.link,
        },
    }


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
