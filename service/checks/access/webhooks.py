"""Checks that the store's webhooks are in place."""

from collections.abc import Mapping, Sequence

from service.bigcommerce.clients.core_api import Core
from service.bigcommerce.clients.hooks import (
    METAFIELD_CREATED,
    Hook,
    host_of,
    read_blocked_domains,
    read_hooks,
    redact_url,
)
from service.checks.access.public_address import Ask
from service.checks.access.upstream_errors import missing_scope_finding, upstream_error_finding
from service.checks.findings import Finding, Level
from service.configuration import ConfiguredStore
from service.errors import CredentialsRefused, UpstreamError
from service.hooks import (
    WEBHOOK_PATH,
    HookProblem,
    ProblemKind,
    find_problems,
    first_destination,
    is_receiver,
    needed_hooks,
    scopes_of,
)
from service.stores import Endpoints

# Named for a 403 only: by the documentation webhooks need no scope of their own.
INFORMATION = "Information & Settings: read-only"

_OPTIONAL = {
    ProblemKind.MISSING: "not registered.",
    ProblemKind.INACTIVE: "deactivated by BigCommerce.",
    ProblemKind.HEADERS: "without the webhook_headers of the stores file, so the receiver refuses the deliveries.",
}
"""What optional webhooks can have, in words that follow their scopes."""


async def check_webhooks(
    core: Core,
    configured: ConfiguredStore,
    endpoints: Endpoints,
    destination: str | None,
    *,
    is_received: bool = False,
    ask_address: Ask | None = None,
) -> list[Finding]:
    """Check the webhooks. ``destination`` is the known destination of ours, None when it is unknown.

    ``is_received``: webhooks of the store arrived lately, so the address is right whatever its path is. ``ask_address``
    asks the destination that some webhook goes to.
    """
    store = configured.store
    try:
        hooks = needed_hooks(await read_hooks(core), configured)
        blocked = await read_blocked_domains(core)
    except UpstreamError as error:
        if isinstance(error, CredentialsRefused) and error.status == 403:
            return [missing_scope_finding(store.hash, "webhooks", INFORMATION, error)]
        return [upstream_error_finding(error, store.hash, "webhooks", endpoints.api_url)]
    destination = destination or first_destination(hooks, configured)
    if destination and not is_receiver(destination) and not is_received:
        return [_wrong_path(store.hash, destination), *_reached_elsewhere(store.hash, hooks, blocked)]
    findings = webhook_findings(configured, hooks, destination, blocked)
    if ask_address and destination and any(hook.destination == destination for hook in hooks):
        findings.append(await ask_address(store.hash, destination))
    return findings


def webhook_findings(
    configured: ConfiguredStore, hooks: Sequence[Hook], destination: str | None, blocked: Mapping[str, int | None]
) -> list[Finding]:
    """One finding for each problem, one for all optional webhooks with the same problem, one for each other webhook."""
    store = configured.store.hash
    problems = find_problems(hooks, configured, destination, blocked)
    affected = {problem.what for problem in problems}
    return [
        *(_finding(store, problem, blocked, destination) for problem in problems if not problem.is_optional),
        *_optional_findings(store, problems),
        *(
            _healthy(configured, hook)
            for hook in hooks
            if hook.destination == destination and hook.scope not in affected
        ),
    ]


def _wrong_path(store: str, destination: str) -> Finding:
    """Ours go to a path that the receiver does not have, as an earlier version let people register them."""
    wrong = redact_url(destination)
    message = f"they go to {wrong}, where the receiver answers 404: it takes them at {WEBHOOK_PATH} only."
    remove = f"`enrich hooks remove --store {store} --url {wrong}`"
    cure = f"Run `enrich hooks register --store {store} --url https://{host_of(destination)}`, then {remove}."
    return Finding(Level.ERROR, store, "webhooks", message, cure)


def _reached_elsewhere(store: str, hooks: Sequence[Hook], blocked: Mapping[str, int | None]) -> list[Finding]:
    """The webhooks that do go to a receiver are the right ones then: nobody must remove them."""
    right = sorted({redact_url(hook.destination) for hook in hooks if hook.is_active and is_receiver(hook.destination)})
    return [
        Finding(Level.WARNING, store, "webhooks", f"others go to {where}, which looks right. Keep them.")
        for where in right
        if host_of(where) not in blocked
    ]


def _healthy(configured: ConfiguredStore, hook: Hook) -> Finding:
    message = f"goes to {redact_url(hook.destination)}."
    if hook.is_wildcard and hook.covers(METAFIELD_CREATED) and METAFIELD_CREATED in scopes_of(configured).optional:
        message += " BigCommerce does not document whether it is also sent for metafields."
    return Finding(Level.OK, configured.store.hash, f"webhook {hook.scope}", message)


def _optional_findings(store: str, problems: Sequence[HookProblem]) -> list[Finding]:
    """At most one warning for each kind of problem. Missing ones are left out where the same command is due anyway."""
    by_kind = {kind: [each.what for each in problems if each.is_optional and each.kind is kind] for kind in _OPTIONAL}
    if any(each.kind is ProblemKind.MISSING and not each.is_optional for each in problems):
        del by_kind[ProblemKind.MISSING]
    return [
        Finding(
            Level.WARNING,
            store,
            "webhooks",
            f"{', '.join(scopes)}: {_OPTIONAL[kind]} Orders are enriched all the same; what comes or changes after"
            " them is noticed later.",
            _register(store) if kind is ProblemKind.MISSING else f"Run `enrich hooks repair --store {store}`.",
        )
        for kind, scopes in by_kind.items()
        if scopes
    ]


def _register(store: str) -> str:
    return f"Run `enrich hooks register --store {store} --url https://…` with the receiver's public address."


def _finding(store: str, problem: HookProblem, blocked: Mapping[str, int | None], destination: str | None) -> Finding:
    webhook, repair = f"webhook {problem.what}", f"`enrich hooks repair --store {store}`"
    match problem.kind:
        case ProblemKind.MISSING:
            message = "does not exist: new orders are found only by polling, and some will miss their ten seconds."
            return Finding(Level.ERROR, store, webhook, message, _register(store))
        case ProblemKind.INACTIVE:
            message = "BigCommerce has deactivated it, as it does after two days of failed deliveries."
            return Finding(Level.ERROR, store, webhook, message, f"Check that the receiver answers, then run {repair}.")
        case ProblemKind.HEADERS:
            message = "lacks the webhook_headers of the stores file: the receiver refuses its deliveries."
            return Finding(Level.ERROR, store, webhook, message, f"Run {repair}.")
        case ProblemKind.BLOCKED:
            left = blocked.get(problem.what)
            for_now = "for now" if left is None else f"for {left} s more"
            message = f"BigCommerce sends no webhooks to {problem.what} {for_now}: too many were not acknowledged."
            cure = "The block ends by itself. Find out why the receiver did not answer 200 within ten seconds."
            return Finding(Level.ERROR, store, "webhooks", message, cure)
        case ProblemKind.FOREIGN:
            if not is_receiver(problem.what) and host_of(problem.what) == host_of(destination or ""):
                message = f"one for orders goes to {problem.what}, where the receiver answers 404."
                cure = f"Remove it: `enrich hooks remove --store {store} --url {problem.what}`."
                return Finding(Level.WARNING, store, "webhooks", message, cure)
            message = f"one for orders goes to {problem.what}, which is not our receiver."
            remove = f"`enrich hooks remove --store {store} --url {problem.what}`"
            cure = f"If another program uses it, that is fine. If it is an old address of yours, run {remove}."
            return Finding(Level.WARNING, store, "webhooks", message, cure)
