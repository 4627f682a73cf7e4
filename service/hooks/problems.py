"""What a store's webhooks must be, and what can be wrong with them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import SecretStr

from service.bigcommerce.hooks import ORDER_CREATED, STATUS_UPDATED, Hook, host_of, without_secrets
from service.stores import Store

# Where a receiver takes webhooks, wherever it is.
WEBHOOK_PATH = "/webhooks/bigcommerce"


class ProblemKind(StrEnum):
    """What can be wrong with a store's webhooks."""

    MISSING = "missing"
    INACTIVE = "inactive"
    HEADERS = "headers"
    BLOCKED = "blocked"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class HookProblem:
    """Something that is wrong, and with what: a scope, a domain or, for a foreign one, a destination."""

    kind: ProblemKind
    what: str

    @property
    def blocks_delivery(self) -> bool:
        """Whether orders come without a webhook because of it."""
        return self.kind is not ProblemKind.FOREIGN


def scopes_of(store: Store) -> tuple[str, ...]:
    """The events that this store needs a webhook for."""
    return (ORDER_CREATED, STATUS_UPDATED) if store.incomplete_orders == "wait" else (ORDER_CREATED,)


def about_orders(hooks: Iterable[Hook], store: Store) -> list[Hook]:
    """Those of the webhooks that tell of events that the store needs."""
    return [hook for hook in hooks if any(map(hook.covers, scopes_of(store)))]


def is_receiver(destination: str) -> bool:
    """Whether a receiver of ours seems to be there, by the path."""
    return without_secrets(destination).rstrip("/").endswith(WEBHOOK_PATH)


def first_destination(hooks: Sequence[Hook]) -> str | None:
    """Where our webhooks seem to go, by the path; rather one that is active."""
    ours = [hook for hook in hooks if is_receiver(hook.destination)]
    return next((hook.destination for hook in sorted(ours, key=lambda hook: not hook.is_active)), None)


def has_headers(hook: Hook, accepted: Mapping[str, Sequence[SecretStr]]) -> bool:
    """Whether each of these headers comes back with a secret that is accepted. Others may be there as well."""
    given = {name.lower(): value for name, value in hook.headers.items()}
    return all(
        given.get(name.lower()) in {secret.get_secret_value() for secret in secrets}
        for name, secrets in accepted.items()
    )


def find_problems(
    hooks: Sequence[Hook], store: Store, destination: str | None, blocked: Mapping[str, int | None]
) -> list[HookProblem]:
    """All that is wrong, the worst first.

    ``hooks`` are those about the store's orders, ``destination`` is where ours go, ``blocked`` are the domains that
    BigCommerce sends nothing to.
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
            for where in sorted({without_secrets(hook.destination) for hook in foreign})
        ),
    ]
