"""What a store's webhooks need, and finding their problems."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import SecretStr

from service.bigcommerce.clients.hooks import ORDER_CREATED, STATUS_UPDATED, Hook, host_of, redact_url
from service.stores import Store

# The path at which every receiver takes webhooks.
WEBHOOK_PATH = "/webhooks/bigcommerce"


class ProblemKind(StrEnum):
    """The kinds of problems with a store's webhooks."""

    MISSING = "missing"
    INACTIVE = "inactive"
    HEADERS = "headers"
    BLOCKED = "blocked"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class HookProblem:
    """A problem and what has it: a scope, a domain or, for a foreign webhook, its destination."""

    kind: ProblemKind
    what: str

    @property
    def blocks_delivery(self) -> bool:
        """Whether webhooks for orders do not arrive because of it."""
        return self.kind is not ProblemKind.FOREIGN


def scopes_of(store: Store) -> tuple[str, ...]:
    """The scopes that this store needs webhooks for."""
    return (ORDER_CREATED, STATUS_UPDATED) if store.incomplete_orders == "wait" else (ORDER_CREATED,)


def about_orders(hooks: Iterable[Hook], store: Store) -> list[Hook]:
    """The webhooks that cover a scope that the store needs."""
    return [hook for hook in hooks if any(map(hook.covers, scopes_of(store)))]


def is_receiver(destination: str) -> bool:
    """Whether the URL's path is that of our receiver."""
    return redact_url(destination).rstrip("/").endswith(WEBHOOK_PATH)


def first_destination(hooks: Sequence[Hook]) -> str | None:
    """The first destination with our receiver's path, preferably of an active webhook; None without one."""
    ours = [hook for hook in hooks if is_receiver(hook.destination)]
    return next((hook.destination for hook in sorted(ours, key=lambda hook: not hook.is_active)), None)


def has_headers(hook: Hook, accepted: Mapping[str, Sequence[SecretStr]]) -> bool:
    """Whether the webhook sends each of these headers with an accepted secret. It may send others too."""
    given = {name.lower(): value for name, value in hook.headers.items()}
    return all(
        given.get(name.lower()) in {secret.get_secret_value() for secret in secrets}
        for name, secrets in accepted.items()
    )


def find_problems(
    hooks: Sequence[Hook], store: Store, destination: str | None, blocked: Mapping[str, int | None]
) -> list[HookProblem]:
    """All problems of a store's webhooks, the worst first.

    ``hooks`` are the webhooks for the store's orders, ``destination`` is the URL of ours, ``blocked`` are the domains
    that BigCommerce blocks.
    """
    ours = [hook for hook in hooks if hook.destination == destination]
    foreign = [hook for hook in hooks if hook.destination != destination]
    host = host_of(destination or "")
    return [
        *(
            HookProblem(ProblemKind.MISSING, scope)
            for scope in scopes_of(store)
            if not any(hook.covers(scope) for hook in ours)
        ),
        *(HookProblem(ProblemKind.INACTIVE, hook.scope) for hook in ours if not hook.is_active),
        *(
            HookProblem(ProblemKind.HEADERS, hook.scope)
            for hook in ours
            if not has_headers(hook, store.webhook_headers)
        ),
        *([HookProblem(ProblemKind.BLOCKED, host)] if host in blocked else []),
        *(
            HookProblem(ProblemKind.FOREIGN, where)
            for where in sorted({redact_url(hook.destination) for hook in foreign})
        ),
    ]
