"""A store's webhooks one by one, each with what is wrong with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.bigcommerce.core import Core
from service.bigcommerce.hooks import Hook, host_of, read_blocked_domains, read_hooks, without_secrets
from service.hooks.problems import ProblemKind, about_orders, find_problems, first_destination, has_headers
from service.stores import Store


@dataclass(frozen=True, slots=True)
class ListedHook:
    """A webhook, or one that is missing: that has no id.

    ``destination`` has no secrets in it, ``updated_at`` is in Unix seconds, ``blocked_s`` is for how many seconds
    more its domain gets no webhooks.
    """

    scope: str
    destination: str
    troubles: tuple[ProblemKind, ...]
    hook_id: int | None = None
    is_active: bool = False
    updated_at: float | None = None
    blocked_s: int | None = None


async def read_listed(core: Core, store: Store, known: str | None) -> list[ListedHook]:
    """All webhooks of the store's API account, whatever they are about, those that are missing first.

    Ours are those that go to the ``known`` destination, else to where a receiver seems to be. Raises UpstreamError.
    """
    found, blocked = await read_hooks(core), await read_blocked_domains(core)
    ordered = about_orders(found, store)
    destination = known or first_destination(ordered)
    missing = [
        ListedHook(trouble.what, without_secrets(destination or ""), (trouble.kind,))
        for trouble in find_problems(ordered, store, destination, blocked)
        if trouble.kind is ProblemKind.MISSING
    ]
    return [*missing, *(_listed(hook, _wrong_with(hook, store, destination, blocked), blocked) for hook in found)]


def _listed(hook: Hook, troubles: Sequence[ProblemKind], blocked: Mapping[str, int | None]) -> ListedHook:
    return ListedHook(
        hook.scope,
        without_secrets(hook.destination),
        tuple(troubles),
        hook.id,
        hook.is_active,
        hook.updated_at,
        blocked.get(host_of(hook.destination)),
    )


def _wrong_with(
    hook: Hook, store: Store, destination: str | None, blocked: Mapping[str, int | None]
) -> list[ProblemKind]:
    """What is wrong with one webhook. The headers of one that is not ours are none of our business."""
    is_ours = hook.destination == destination
    found = {
        ProblemKind.FOREIGN: not is_ours,
        ProblemKind.INACTIVE: not hook.is_active,
        ProblemKind.HEADERS: is_ours and not has_headers(hook, store.webhook_headers),
        ProblemKind.BLOCKED: host_of(hook.destination) in blocked,
    }
    return [kind for kind, is_so in found.items() if is_so]
