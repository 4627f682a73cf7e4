"""What a store's webhooks must be, and what can be wrong with them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from service.bigcommerce.hooks import ORDER_CREATED, STATUS_UPDATED, Hook, host_of, without_secrets
from service.stores import Store

# Where a receiver takes webhooks, wherever it is.
WEBHOOK_PATH = "/webhooks/bigcommerce"


class Kind(StrEnum):
    """What can be wrong with a store's webhooks."""

    MISSING = "missing"
    INACTIVE = "inactive"
    BLOCKED = "blocked"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is wrong, and with what: a scope, a domain or, for a foreign one, a destination."""

    kind: Kind
    what: str

    @property
    def keeps_webhooks_away(self) -> bool:
        """Whether orders come without a webhook because of it."""
        return self.kind is not Kind.FOREIGN


def scopes_of(store: Store) -> tuple[str, ...]:
    """The events that this store needs a webhook for."""
    return (ORDER_CREATED, STATUS_UPDATED) if store.incomplete_orders == "wait" else (ORDER_CREATED,)


def about_orders(hooks: Iterable[Hook], store: Store) -> list[Hook]:
    """Those of the webhooks that tell of events that the store needs."""
    return [hook for hook in hooks if any(map(hook.covers, scopes_of(store)))]


def first_destination(hooks: Sequence[Hook]) -> str | None:
    """Where our webhooks seem to go, by the path; rather one that is active."""
    ours = [hook for hook in hooks if without_secrets(hook.destination).rstrip("/").endswith(WEBHOOK_PATH)]
    return next((hook.destination for hook in sorted(ours, key=lambda hook: not hook.is_active)), None)


def find_troubles(
    hooks: Sequence[Hook], scopes: Iterable[str], destination: str | None, blocked: Mapping[str, int | None]
) -> list[Trouble]:
    """All that is wrong, the worst first. ``blocked`` are the domains that BigCommerce sends nothing to."""
    ours = [hook for hook in hooks if hook.destination == destination]
    foreign = [hook for hook in hooks if hook.destination != destination]
    host = host_of(destination or "")
    return [
        *(Trouble(Kind.MISSING, scope) for scope in scopes if not any(hook.covers(scope) for hook in ours)),
        *(Trouble(Kind.INACTIVE, hook.scope) for hook in ours if not hook.is_active),
        *(Trouble(Kind.BLOCKED, domain) for domain in blocked if domain and domain == host),
        *(Trouble(Kind.FOREIGN, where) for where in sorted({without_secrets(hook.destination) for hook in foreign})),
    ]
