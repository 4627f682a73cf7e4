"""Whether the store's webhooks will tell of its orders."""

from collections.abc import Mapping, Sequence

from service.bigcommerce.core import Core
from service.bigcommerce.hooks import Hook, read_blocked_domains, read_hooks, without_secrets
from service.checks.findings import Finding, Level
from service.checks.upstream_errors import lacks_scope, trouble
from service.errors import CredentialsRefused, UpstreamError
from service.hooks import HookProblem, ProblemKind, about_orders, find_problems, first_destination
from service.stores import Endpoints, Store

# Said of a 403 only: webhooks are documented to need no scope of their own.
INFORMATION = "Information & Settings: read-only"


async def check_webhooks(core: Core, store: Store, endpoints: Endpoints, destination: str | None) -> list[Finding]:
    """Look at the webhooks. ``destination`` is where ours are known to go; None: that is not known."""
    try:
        hooks = about_orders(await read_hooks(core), store)
        blocked = await read_blocked_domains(core)
    except UpstreamError as error:
        if isinstance(error, CredentialsRefused) and error.status == 403:
            return [lacks_scope(store.hash, "webhooks", INFORMATION, error)]
        return [trouble(error, store.hash, "webhooks", endpoints.api_url)]
    return of_webhooks(store, hooks, destination or first_destination(hooks), blocked)


def of_webhooks(
    store: Store, hooks: Sequence[Hook], destination: str | None, blocked: Mapping[str, int | None]
) -> list[Finding]:
    """One finding for each trouble, and for each event that is told of as it should be."""
    troubles = find_problems(hooks, store, destination, blocked)
    troubled = {trouble.what for trouble in troubles}
    fine = [
        Finding(Level.OK, store.hash, f"webhook {hook.scope}", f"goes to {without_secrets(hook.destination)}.")
        for hook in hooks
        if hook.destination == destination and hook.scope not in troubled
    ]
    return [*(_finding(store.hash, trouble, blocked) for trouble in troubles), *fine]


def _finding(store: str, trouble: HookProblem, blocked: Mapping[str, int | None]) -> Finding:
    webhook, repair = f"webhook {trouble.what}", f"`enrich hooks repair --store {store}`"
    match trouble.kind:
        case ProblemKind.MISSING:
            message = "there is none: new orders are found by looking, often too late for their ten seconds."
            cure = f"`enrich hooks register --store {store} --url https://…`, with the receiver's public address."
            return Finding(Level.ERROR, store, webhook, message, cure)
        case ProblemKind.INACTIVE:
            message = "BigCommerce has switched it off, as it does when deliveries fail for two days."
            return Finding(Level.ERROR, store, webhook, message, f"See that the receiver answers; then {repair}.")
        case ProblemKind.HEADERS:
            message = "it does not carry the webhook_headers of the stores file: the receiver refuses what it brings."
            return Finding(Level.ERROR, store, webhook, message, f"{repair} writes them onto it.")
        case ProblemKind.BLOCKED:
            left = blocked.get(trouble.what)
            for_now = "for now" if left is None else f"for {left} s more"
            message = f"BigCommerce sends no webhooks to {trouble.what} {for_now}: too many were not acknowledged."
            cure = "It passes by itself. Look at why the receiver did not answer 200 within ten seconds."
            return Finding(Level.ERROR, store, "webhooks", message, cure)
        case ProblemKind.FOREIGN:
            message = f"one about orders goes to {trouble.what}, another receiver than ours."
            remove = f"`enrich hooks remove --store {store} --url {trouble.what}`"
            cure = f"If it is another program's, all is well; if it is an old address of yours, {remove}."
            return Finding(Level.WARNING, store, "webhooks", message, cure)
