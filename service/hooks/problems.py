"""Finds the problems of a store's webhooks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import SecretStr

from service.bigcommerce.clients.hooks import Hook, host_of, redact_url
from service.configuration import ConfiguredStore
from service.hooks.scopes import Scopes, scopes_of

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
    """A problem and what has it: a scope, a domain or, for a foreign webhook, its destination.

    ``is_optional``: orders do not need the webhook that has it.
    """

    kind: ProblemKind
    what: str
    is_optional: bool = False

    @property
    def blocks_delivery(self) -> bool:
        """Whether webhooks that orders cannot do without do not arrive because of it."""
        return self.kind is not ProblemKind.FOREIGN and not self.is_optional


def needed_hooks(hooks: Iterable[Hook], configured: ConfiguredStore) -> list[Hook]:
    """The webhooks that are sent for an event that the store needs, to any destination."""
    scopes = scopes_of(configured)
    return [hook for hook in hooks if scopes.are_needed_of(hook)]


def is_receiver(destination: str) -> bool:
    """Whether the URL's path is that of our receiver."""
    return redact_url(destination).rstrip("/").endswith(WEBHOOK_PATH)


def first_destination(hooks: Sequence[Hook], configured: ConfiguredStore) -> str | None:
    """The first destination with our receiver's path, of an essential webhook or an active one if possible, or None."""
    scopes = scopes_of(configured)
    ours = [hook for hook in hooks if is_receiver(hook.destination)]
    ours.sort(key=lambda hook: (not scopes.is_essential(hook), not hook.is_active))
    return ours[0].destination if ours else None


def is_elsewhere(hook: Hook, scopes: Scopes) -> bool:
    """Whether a webhook that is not ours is worth a word: it is sent for new orders, or it goes to a receiver.

    Other programs have their own reasons to hear of changes.
    """
    return scopes.is_essential(hook) or is_receiver(hook.destination)


def has_headers(hook: Hook, accepted: Mapping[str, Sequence[SecretStr]]) -> bool:
    """Whether the webhook sends each of these headers with an accepted secret. It may send others too."""
    given = {name.lower(): value for name, value in hook.headers.items()}
    return all(
        given.get(name.lower()) in {secret.get_secret_value() for secret in secrets}
        for name, secrets in accepted.items()
    )


def find_problems(
    hooks: Sequence[Hook],
    configured: ConfiguredStore,
    destination: str | None,
    blocked: Mapping[str, int | None],
) -> list[HookProblem]:
    """All problems of a store's webhooks, by kind, the worst first.

    ``hooks`` are those that the store needs, ``destination`` is the URL of ours, ``blocked`` are the domains that
    BigCommerce blocks.
    """
    scopes, accepted = scopes_of(configured), configured.store.webhook_headers
    ours = [hook for hook in hooks if hook.destination == destination]
    foreign = [hook for hook in hooks if hook.destination != destination and is_elsewhere(hook, scopes)]
    host = host_of(destination or "")

    def of_hook(kind: ProblemKind, hook: Hook) -> HookProblem:
        return HookProblem(kind, hook.scope, scopes.is_optional(hook))

    return [
        *(
            HookProblem(ProblemKind.MISSING, scope, scope in scopes.optional)
            for scope in scopes.needed
            if not any(hook.covers(scope) for hook in ours)
        ),
        *(of_hook(ProblemKind.INACTIVE, hook) for hook in ours if not hook.is_active),
        *(of_hook(ProblemKind.HEADERS, hook) for hook in ours if not has_headers(hook, accepted)),
        *([HookProblem(ProblemKind.BLOCKED, host)] if host in blocked else []),
        *(
            HookProblem(ProblemKind.FOREIGN, where)
            for where in sorted({redact_url(hook.destination) for hook in foreign})
        ),
    ]
