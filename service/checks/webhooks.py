"""Checks that the store's webhooks for orders are in place."""

from collections.abc import Mapping, Sequence

from service.bigcommerce.clients.core_api import Core
from service.bigcommerce.clients.hooks import Hook, read_blocked_domains, read_hooks, redact_url
from service.checks.findings import Finding, Level
from service.checks.upstream_errors import missing_scope_finding, upstream_error_finding
from service.errors import CredentialsRefused, UpstreamError
from service.hooks import HookProblem, ProblemKind, about_orders, find_problems, first_destination
from service.stores import Endpoints, Store

# Named for a 403 only: by the documentation webhooks need no scope of their own.
INFORMATION = "Information & Settings: read-only"


async def check_webhooks(core: Core, store: Store, endpoints: Endpoints, destination: str | None) -> list[Finding]:
    """Check the webhooks. ``destination`` is the known destination of ours, None when it is unknown."""
    try:
        hooks = about_orders(await read_hooks(core), store)
        blocked = await read_blocked_domains(core)
    except UpstreamError as error:
        if isinstance(error, CredentialsRefused) and error.status == 403:
            return [missing_scope_finding(store.hash, "webhooks", INFORMATION, error)]
        return [upstream_error_finding(error, store.hash, "webhooks", endpoints.api_url)]
    return webhook_findings(store, hooks, destination or first_destination(hooks), blocked)


def webhook_findings(
    store: Store, hooks: Sequence[Hook], destination: str | None, blocked: Mapping[str, int | None]
) -> list[Finding]:
    """One finding for each problem, and one for each webhook without a problem."""
    problems = find_problems(hooks, store, destination, blocked)
    affected = {problem.what for problem in problems}
    healthy = [
        Finding(Level.OK, store.hash, f"webhook {hook.scope}", f"goes to {redact_url(hook.destination)}.")
        for hook in hooks
        if hook.destination == destination and hook.scope not in affected
    ]
    return [*(_finding(store.hash, problem, blocked) for problem in problems), *healthy]


def _finding(store: str, problem: HookProblem, blocked: Mapping[str, int | None]) -> Finding:
    webhook, repair = f"webhook {problem.what}", f"`enrich hooks repair --store {store}`"
    match problem.kind:
        case ProblemKind.MISSING:
            message = "does not exist: new orders are found only by polling, and some will miss their ten seconds."
            cure = f"Run `enrich hooks register --store {store} --url https://…` with the receiver's public address."
            return Finding(Level.ERROR, store, webhook, message, cure)
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
            message = f"one for orders goes to {problem.what}, which is not our receiver."
            remove = f"`enrich hooks remove --store {store} --url {problem.what}`"
            cure = f"If another program uses it, that is fine. If it is an old address of yours, run {remove}."
            return Finding(Level.WARNING, store, "webhooks", message, cure)
