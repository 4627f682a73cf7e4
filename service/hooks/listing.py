"""Lists a store's webhooks, each with its problems."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import SecretStr

from service.bigcommerce.clients.core_api import Core
from service.bigcommerce.clients.hooks import Hook, host_of, read_blocked_domains, read_hooks, redact_url
from service.configuration import ConfiguredStore
from service.hooks.problems import ProblemKind, find_problems, first_destination, has_headers, needed_hooks
from service.hooks.scopes import scopes_of


@dataclass(frozen=True, slots=True)
class ListedHook:
    """A webhook; a missing one has no id.

    ``destination`` contains no secrets, ``updated_at`` is in Unix seconds, ``blocked_s`` is for how many seconds more
    BigCommerce blocks its domain. ``is_optional``: the store needs it, but orders can do without it.
    """

    scope: str
    destination: str
    problems: tuple[ProblemKind, ...]
    hook_id: int | None = None
    is_active: bool = False
    updated_at: float | None = None
    blocked_s: int | None = None
    is_optional: bool = False


async def read_listed(core: Core, configured: ConfiguredStore, known: str | None) -> list[ListedHook]:
    """All webhooks of the store's API account, of any scope, after those that are missing.

    Ours go to the ``known`` destination, else to a URL with the receiver's path. Raises UpstreamError.
    """
    found, blocked = await read_hooks(core), await read_blocked_domains(core)
    needed, scopes = needed_hooks(found, configured), scopes_of(configured)
    destination = known or first_destination(needed, configured)
    missing = [
        ListedHook(problem.what, redact_url(destination or ""), (problem.kind,), is_optional=problem.is_optional)
        for problem in find_problems(needed, configured, destination, blocked)
        if problem.kind is ProblemKind.MISSING
    ]
    accepted = configured.store.webhook_headers
    listed = (
        _listed(
            hook,
            _problems_of(hook, accepted, destination, blocked),
            blocked,
            is_optional=hook.destination == destination and scopes.is_optional(hook),
        )
        for hook in found
    )
    return [*missing, *listed]


def _listed(
    hook: Hook, problems: Sequence[ProblemKind], blocked: Mapping[str, int | None], *, is_optional: bool
) -> ListedHook:
    return ListedHook(
        hook.scope,
        redact_url(hook.destination),
        tuple(problems),
        hook.id,
        hook.is_active,
        hook.updated_at,
        blocked.get(host_of(hook.destination)),
        is_optional,
    )


def _problems_of(
    hook: Hook,
    accepted: Mapping[str, Sequence[SecretStr]],
    destination: str | None,
    blocked: Mapping[str, int | None],
) -> list[ProblemKind]:
    """The problems of one webhook. Headers are checked only on our own."""
    is_ours = hook.destination == destination
    found = {
        ProblemKind.FOREIGN: not is_ours,
        ProblemKind.INACTIVE: not hook.is_active,
        ProblemKind.HEADERS: is_ours and not has_headers(hook, accepted),
        ProblemKind.BLOCKED: host_of(hook.destination) in blocked,
    }
    return [kind for kind, is_so in found.items() if is_so]
