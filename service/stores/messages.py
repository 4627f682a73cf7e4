"""Builds problem messages: validation errors, examples, "Did you mean", names in TOML syntax."""

import json
import re
from collections.abc import Collection

from pydantic_core import PydanticCustomError

EXAMPLES: dict[int | str, str] = {
    "stores": "[stores.abc123], a table named after the store hash",
    "bigcommerce": "[bigcommerce], which is left out in production",
    "api_url": 'api_url = "https://api.bigcommerce.com"',
    "b2b_api_url": 'b2b_api_url = "https://api-b2b.bigcommerce.com"',
    "console": "[console.people], with a key for each person",
    "people": '[console.people] with "ana@example.com" = { role = "viewer" }',
    "role": 'role = "operator"',
    "name": 'name = "Great Buys"',
    "access_token": 'access_token = "env:GREATBUYS_ACCESS_TOKEN"',
    "client_secret": 'client_secret = "env:GREATBUYS_CLIENT_SECRET"',
    "webhook_headers": 'webhook_headers = { "X-Enrich-Key" = "env:GREATBUYS_HOOK_KEY" }',
    "incomplete_orders": 'incomplete_orders = "enrich"',
    "channels": "channels = [1]",
    "existing_values": 'existing_values = "keep"',
    "po_number": 'po_number = "order.customer_message"',
    "extra_fields": 'extra_fields = { "Cost Center" = "metafields.checkout.cost_center" }',
    "from": 'from = "order.customer_message"',
    "value": 'value = "web"',
    "match": "match = '\\bPO[\\s#:]+([A-Z0-9-]+)'",
    "default": 'default = "UNASSIGNED"',
    "required": "required = true",
    "wait": "wait = false",
    "late_values": 'late_values = "6s"',
    "follow": 'follow = "24h"',
    "strategy": 'strategy = "merge"',
    "overflow": 'overflow = "storefront"',
    "order_comment": "order_comment = true",
    "notify": "[notify], with webhook, slack, teams or mail",
    "webhook": 'webhook = "env:NOTIFY_WEBHOOK"',
    "secret": 'secret = "env:NOTIFY_SECRET"',
    "slack": 'slack = "env:SLACK_WEBHOOK"',
    "teams": 'teams = "env:TEAMS_WEBHOOK"',
    "mail": 'mail = "env:NOTIFY_MAIL"',
    "link": 'link = "https://enrich.example.com/console"',
}


def refused(message: str, cure: str = "", *, kind: str = "refused") -> PydanticCustomError:
    """The error for a validator to raise. ``kind="key"`` when the name of a key is invalid, not a value."""
    # The text is passed as a value: as the template, braces in it would be placeholders.
    return PydanticCustomError(kind, "{message}", {"message": message, "cure": cure})


def nearest(word: str, known: Collection[str]) -> str | None:
    """The closest of the known names; None when none is close."""
    # Imported here because it takes 2 MB of memory, and only a process that reports a mistake needs it.
    from rapidfuzz import fuzz, process

    match = process.extractOne(word, known, scorer=fuzz.WRatio, score_cutoff=70)
    return match[0] if match else None


def did_you_mean(word: str, known: Collection[str]) -> str:
    """``Did you mean "…"?`` with the closest of the known names; empty when none is close."""
    name = nearest(word, known)
    return f'Did you mean "{name}"?' if name else ""


def dotted(*names: str) -> str:
    """A path of keys in TOML syntax."""
    return ".".join(shown(name) for name in names)


def shown(key: str) -> str:
    """A key or a path on one line: in quotes unless it is plain."""
    return key if re.fullmatch(r"[A-Za-z0-9_./-]+", key) else json.dumps(key, ensure_ascii=False)
