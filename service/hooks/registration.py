"""Registers, repairs and removes a store's webhooks. Idempotent: what is correct stays unchanged."""

import re
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from service.bigcommerce.clients.core_api import Core
from service.bigcommerce.clients.hooks import Hook, host_of, read_blocked_domains, read_hooks, redact_url
from service.bigcommerce.envelope import Document
from service.bigcommerce.models import to_int
from service.configuration import ConfiguredStore
from service.errors import ConfigError, Problem, UpstreamError
from service.hooks.problems import (
    WEBHOOK_PATH,
    first_destination,
    has_headers,
    is_elsewhere,
    is_receiver,
    needed_hooks,
)
from service.hooks.scopes import Scopes, is_of_our_kind, scopes_of
from service.stores import Store


class ChangeKind(StrEnum):
    """What was done with a webhook."""

    KEPT = "kept"
    CREATED = "created"
    ACTIVATED = "activated"
    HEADERS_SET = "headers_set"
    MOVED = "moved"
    DELETED = "deleted"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class HookChange:
    """One change of a webhook, or why it failed (``reason``). ``destination`` contains no secrets.

    ``is_optional``: orders can do without this webhook.
    """

    did: ChangeKind
    scope: str
    destination: str
    hook_id: int | None = None
    reason: str | None = None
    is_optional: bool = False

    @property
    def is_done(self) -> bool:
        """Whether the webhook is as it should be now."""
        return self.did is not ChangeKind.FAILED


@dataclass(frozen=True, slots=True)
class StoreChanges:
    """The changes for a store whose webhooks go to ``destination``.

    ``elsewhere`` are other destinations of the same events, left unchanged. ``blocked`` holds the destination's domain
    and the seconds left, when BigCommerce blocks it now.
    """

    destination: str
    steps: tuple[HookChange, ...]
    elsewhere: tuple[str, ...]
    blocked: Mapping[str, int | None]

    @property
    def is_complete(self) -> bool:
        """Whether all webhooks are in place that orders cannot do without."""
        return all(step.is_done or step.is_optional for step in self.steps)


def destination_of(url: str, *, from_sandbox: bool = False) -> str:
    """The destination that ``--url`` means: a URL without a path gets the receiver's path.

    A path before the receiver's is a proxy's. BigCommerce calls https on port 443 only ("Create a Webhook"); a sandbox
    calls any URL. Raises ConfigError.
    """
    place, example = f"--url {redact_url(url)}", "For example: https://enrich.example.com."
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigError(Problem(place, "is not a URL.", example)) from None
    if not host or not re.fullmatch(r"[!-~]+", url) or parts.scheme not in ("http", "https"):
        raise ConfigError(Problem(place, "is not a URL that begins with https://.", example))
    if not from_sandbox and (parts.scheme == "http" or port not in (None, 443)):
        raise ConfigError(Problem(place, "cannot be reached: BigCommerce calls https on port 443 only.", example))
    if parts.username is not None or any(sign in url for sign in "?#"):
        cure = "Remove that: client_secret and webhook_headers in the stores file authenticate webhooks."
        raise ConfigError(Problem(place, "has a user, a password, a query or a fragment.", cure))
    default_port = ":443" if parts.scheme == "https" else ":80"
    origin = f"{parts.scheme}://{parts.netloc.lower().removesuffix(default_port).removesuffix(':')}"
    path = parts.path.rstrip("/")
    if path and not path.endswith(WEBHOOK_PATH):
        message = f"has another path than {WEBHOOK_PATH}, the only one at which the receiver takes webhooks."
        cure = f"Write {origin}. If a proxy has the receiver below {path}: {origin}{path}{WEBHOOK_PATH}."
        raise ConfigError(Problem(place, message, cure))
    return origin + (path or WEBHOOK_PATH)


async def register(core: Core, configured: ConfiguredStore, destination: str, *, move: bool = False) -> StoreChanges:
    """Make the store's webhooks go to ``destination`` with the first secret of each header.

    With ``move``, a webhook of another receiver is redirected here instead of creating a new one. Failed changes are
    among the steps; raises UpstreamError when the webhooks cannot be read.
    """
    hooks = needed_hooks(await read_hooks(core), configured)
    first = {name: secrets[:1] for name, secrets in configured.store.webhook_headers.items()}
    return await _reconcile(core, configured, hooks, destination, first, move=move)


async def repair(core: Core, configured: ConfiguredStore, known: str | None) -> StoreChanges:
    """Fix the webhooks to the ``known`` destination, else to the first one with our receiver's path.

    Raises ConfigError when there is neither, UpstreamError as ``register`` does.
    """
    hooks = needed_hooks(await read_hooks(core), configured)
    destination = known or first_destination(hooks, configured)
    if destination is None:
        cure = f"Run `enrich hooks register --store {configured.store.hash} --url https://…`."
        raise ConfigError(Problem("webhooks", "none of them goes to a receiver of ours.", cure))
    return await _reconcile(core, configured, hooks, destination, configured.store.webhook_headers)


async def find_ours(core: Core, known: str | None, url: str | None = None) -> list[Hook]:
    """The webhooks of our kind that go to ``url``, else to the ``known`` destination, else to the only receiver.

    Whatever the store needs now: its rules may have changed. ``url`` may have no path, and is compared without
    secrets. Raises ConfigError when there are several receivers and ours is unknown.
    """
    hooks = [hook for hook in await read_hooks(core) if is_of_our_kind(hook)]
    if url is not None:
        wanted = {redact_url(url), redact_url(url).rstrip("/") + WEBHOOK_PATH}
        return [hook for hook in hooks if redact_url(hook.destination) in wanted]
    receivers = [known] if known else sorted({hook.destination for hook in hooks if is_receiver(hook.destination)})
    if len(receivers) > 1:
        cure = f"One of: {', '.join(map(redact_url, receivers))}."
        raise ConfigError(Problem("--url", "is needed: these webhooks go to several receivers.", cure))
    return [hook for hook in hooks if hook.destination in receivers]


async def remove(core: Core, hooks: Iterable[Hook]) -> list[HookChange]:
    """Delete these webhooks."""
    steps = []
    for hook in hooks:
        step = _step(ChangeKind.DELETED, hook)
        steps += [_without_id(hook)] if hook.id is None else await _attempt(core.delete_hook(hook.id), step)
    return steps


async def _reconcile(
    core: Core,
    configured: ConfiguredStore,
    hooks: Sequence[Hook],
    destination: str,
    accepted: Mapping[str, Sequence[SecretStr]],
    *,
    move: bool = False,
) -> StoreChanges:
    store, scopes = configured.store, scopes_of(configured)
    blocked = await read_blocked_domains(core)
    ours = [hook for hook in hooks if hook.destination == destination]
    others = [hook for hook in hooks if hook.destination != destination]
    steps = [
        replace(step, is_optional=scopes.is_optional(hook))
        for hook in ours
        for step in await _fix(core, store, hook, accepted)
    ]
    for scope in scopes.needed:
        if any(hook.covers(scope) for hook in ours):
            continue
        old = _hook_to_move(others, scope) if move else None
        if old is None:
            steps.append(await _create(core, store, scope, destination, is_optional=scope in scopes.optional))
            continue
        moved = replace(old, destination=destination)
        headers = _headers(store, old)
        (step,) = await _update(core, moved, headers, ChangeKind.MOVED, destination=destination, is_active=True)
        steps.append(replace(step, is_optional=scopes.is_optional(old)))
        if step.is_done:
            others.remove(old)
            ours.append(moved)
    host = host_of(destination)
    here = {host: blocked[host]} if host in blocked else {}
    return StoreChanges(redact_url(destination), tuple(steps), _elsewhere(others, scopes), here)


def _elsewhere(others: Iterable[Hook], scopes: Scopes) -> tuple[str, ...]:
    return tuple(sorted({redact_url(hook.destination) for hook in others if is_elsewhere(hook, scopes)}))


async def _create(core: Core, store: Store, scope: str, destination: str, *, is_optional: bool) -> HookChange:
    headers = _headers(store)
    step = HookChange(ChangeKind.CREATED, scope, redact_url(destination), is_optional=is_optional)
    (done,) = await _attempt(core.create_hook(scope, destination, headers), step, hide=headers.values())
    return done


def _hook_to_move(hooks: Iterable[Hook], scope: str) -> Hook | None:
    """The webhook of another receiver to redirect here, preferably an active one."""
    found = [hook for hook in hooks if hook.covers(scope) and is_receiver(hook.destination) and hook.id is not None]
    return min(found, key=lambda hook: not hook.is_active, default=None)


async def _fix(core: Core, store: Store, hook: Hook, accepted: Mapping[str, Sequence[SecretStr]]) -> list[HookChange]:
    """Activate it and set its headers, as far as needed, in one call."""
    headers = None if has_headers(hook, accepted) else _headers(store, hook)
    needed = {ChangeKind.ACTIVATED: not hook.is_active, ChangeKind.HEADERS_SET: headers is not None}
    if not any(needed.values()):
        return [_step(ChangeKind.KEPT, hook)]
    changes = {} if hook.is_active else {"is_active": True}
    return await _update(core, hook, headers, *(did for did, is_so in needed.items() if is_so), **changes)


async def _update(
    core: Core, hook: Hook, headers: Mapping[str, str] | None, *done: ChangeKind, **changes: Any
) -> list[HookChange]:
    """Update a webhook; ``done`` are the kinds of change that this makes. Headers of None stay unchanged."""
    if hook.id is None:
        return [_without_id(hook)]
    changes |= {} if headers is None else {"headers": headers}
    call = core.update_hook(hook.id, **changes)
    return await _attempt(call, *(_step(did, hook) for did in done), hide=(headers or {}).values())


async def _attempt(call: Awaitable[Document | None], *steps: HookChange, hide: Iterable[str] = ()) -> list[HookChange]:
    """The steps when the call succeeds, else one failed step whose reason has the ``hide`` texts redacted."""
    try:
        written = await call or {}
    except UpstreamError as error:
        reason = str(error)
        for secret in hide:  # BigCommerce may quote what it was sent
            reason = reason.replace(secret, "***")
        return [replace(steps[0], did=ChangeKind.FAILED, reason=reason)]
    return [replace(step, hook_id=step.hook_id or to_int(written.get("id"))) for step in steps]


def _headers(store: Store, hook: Hook | None = None) -> dict[str, str]:
    """The first secret of each of the store's headers, and the webhook's other headers."""
    ours = {name.lower() for name in store.webhook_headers}
    others = {name: value for name, value in hook.headers.items() if name.lower() not in ours} if hook else {}
    return others | {name: secrets[0].get_secret_value() for name, secrets in store.webhook_headers.items()}


def _step(did: ChangeKind, hook: Hook) -> HookChange:
    return HookChange(did, hook.scope, redact_url(hook.destination), hook.id)


def _without_id(hook: Hook) -> HookChange:
    return replace(_step(ChangeKind.FAILED, hook), reason="BigCommerce lists it without an id")
