"""The words of problems: what a validator raises, examples, names as TOML writes them."""

import json
import re
from collections.abc import Collection

from pydantic_core import PydanticCustomError

EXAMPLES: dict[int | str, str] = {
    "stores": "[stores.abc123], a table named after the store hash",
    "bigcommerce": "[bigcommerce], which is left out in production",
    "api_url": 'api_url = "https://api.bigcommerce.com"',
    "b2b_api_url": 'b2b_api_url = "https://api-b2b.bigcommerce.com"',
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
}


def refused(message: str, cure: str = "", *, kind: str = "refused") -> PydanticCustomError:
    """What a validator raises. ``kind="key"`` when it is the name of a key that is refused, not a value."""
    # The text goes in as a value, for braces in it would be read as a template.
    return PydanticCustomError(kind, "{message}", {"message": message, "cure": cure})


def nearest(word: str, known: Collection[str]) -> str | None:
    """The nearest of the known names, if any is near."""
    # Here, as it takes 2 MB of memory, and a process that has no mistakes to tell of does without it.
    from rapidfuzz import fuzz, process

    near = process.extractOne(word, known, scorer=fuzz.WRatio, score_cutoff=70)
    return near[0] if near else None


def did_you_mean(word: str, known: Collection[str]) -> str:
    """``Did you mean "…"?`` with the nearest of the known names, or no text when none is near."""
    near = nearest(word, known)
    return f'Did you mean "{near}"?' if near else ""


def dotted(*names: str) -> str:
    """A path of keys as TOML writes it."""
    return ".".join(shown(name) for name in names)


def shown(key: str) -> str:
    """A key or a path in one line: as it is when that is plain, else in quotes."""
    return key if re.fullmatch(r"[A-Za-z0-9_./-]+", key) else json.dumps(key, ensure_ascii=False)
