"""Webhooks as BigCommerce lists them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

from service.bigcommerce.clients.core_api import Core
from service.bigcommerce.models import to_int, to_text
from service.errors import CredentialsRefused, Refused

ORDER_CREATED = "store/order/created"
STATUS_UPDATED = "store/order/statusUpdated"
ALL_ORDER_EVENTS = "store/order/*"
METAFIELD_WRITTEN = ("store/order/metafield/created", "store/order/metafield/updated")
"""Their data name the order as ``resource_id``, in text."""
COMPANY_USER_CREATED = "store/company/user/created"
COMPANY_USER_UPDATED = "store/company/user/updated"
COMPANY_STATUS_UPDATED = "store/company/statusUpdated"
COMPANY_EVENTS = (COMPANY_USER_CREATED, COMPANY_USER_UPDATED, COMPANY_STATUS_UPDATED)
"""Their data are ``company_id`` and ``user_id``, B2B Edition's own ids: no order, and no customer of the store."""


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook as BigCommerce lists it. BigCommerce sends ``headers`` with each delivery: they are secrets."""

    id: int | None
    scope: str
    destination: str
    is_active: bool
    updated_at: float
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Self:
        """Parse an entry of Get Webhooks."""
        headers = document.get("headers")
        return cls(
            to_int(document.get("id")),
            to_text(document.get("scope")),
            to_text(document.get("destination")),
            document.get("is_active") is not False,
            float(to_int(document.get("updated_at")) or 0),
            {str(name): to_text(value) for name, value in headers.items()} if isinstance(headers, Mapping) else {},
        )

    def covers(self, scope: str) -> bool:
        """Whether it is sent for events of this scope."""
        return self.scope in (scope, ALL_ORDER_EVENTS)

    @property
    def is_about_orders(self) -> bool:
        """Whether it is sent when an order is created or its status changes."""
        return self.covers(ORDER_CREATED) or self.covers(STATUS_UPDATED)


async def read_hooks(core: Core) -> list[Hook]:
    """All webhooks that this token's API account created."""
    return [Hook.of_document(document) for document in await core.hooks()]


async def read_blocked_domains(core: Core) -> dict[str, int | None]:
    """The domains that BigCommerce blocks now, each with the seconds left (None: unknown).

    Empty when this token may not read them: the webhooks themselves can be checked all the same.
    """
    try:
        listed = (await core.hooks_admin()).get("blocked_domains")
    except (Refused, CredentialsRefused):
        return {}
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    by_host = {host_of(to_text(entry.get("destination"))): to_int(entry.get("time_left")) for entry in entries}
    return {host: seconds for host, seconds in by_host.items() if host}


def host_of(text: str) -> str:
    """The host of a URL or a domain; empty when there is none."""
    try:
        return urlsplit(text if "//" in text else f"//{text}").hostname or ""
    except ValueError:
        return ""


def redact_url(url: str) -> str:
    """A destination that is safe to show: without user, password, query and fragment."""
    return re.sub(r"(?<=//)[^/?#]*@|[?#].*", "", url)
