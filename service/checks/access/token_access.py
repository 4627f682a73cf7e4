"""Checks the scopes of a store's access tokens: tries each with the calls that orders need."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from service.bigcommerce import StoreApi
from service.bigcommerce.models import ExtraFieldConfig, Values
from service.checks.access.upstream_errors import SCOPES_AT, describe, missing_scope_finding, upstream_error_finding
from service.checks.findings import Finding, Level, counted
from service.errors import CredentialsRefused, NotFound, Refused, TryAgain, UpstreamError
from service.rules import Needs
from service.stores import Endpoints

# Scopes are named as in the control panel.
ORDERS = "Orders: read-only"
TRANSACTIONS = "Order Transactions: read-only"
CARTS = "Carts: read-only"
CUSTOMERS = "Customers: read-only"
B2B_EDITION = "B2B Edition: modify"

TOKEN = "access_token"  # noqa: S105 - a key, no secret
"""The subject of findings about a whole token: its key in the stores file."""

NONEXISTENT_ORDER = 2**53 - 1
"""The id of an order that can never exist in any store.

Only a write shows whether a token may write. An Update of this order changes nothing, and the answer "order does not
exist" proves that the token has the scope. Order ids are consecutive, so no store gets near 9 * 10**15. This is the
largest integer that every JSON and JavaScript parser reads exactly, so it is not rounded to another id; truncated to
32 bits it would be -1 or 4294967295, which are not orders either.
"""

NONEXISTENT_CUSTOMER = 2**31 - 1
"""The id of a customer that does not exist. The answer that there is no such user shows that the API answers."""

NONEXISTENT_CART = "00000000-0000-0000-0000-000000000000"
"""The id of a cart that does not exist. The answer that there is no such cart proves that the token has the scope."""


@dataclass(frozen=True, slots=True)
class TokenAccess:
    """The result for one access token: whether the core API accepts it (None: no answer), and the findings.

    ``configs`` are the store's extra-field configs, None when they could not be read. ``api`` uses this token.
    """

    api: StoreApi
    is_accepted: bool | None
    findings: list[Finding]
    configs: list[ExtraFieldConfig] | None


async def try_token(api: StoreApi, needs: Needs, endpoints: Endpoints, *, now: float) -> TokenAccess:
    """Try the one token of ``api`` with each kind of call that these rules need. ``now`` is Unix seconds."""
    store = api.account.store_hash
    findings: list[Finding] = []
    is_accepted: bool | None = None
    for subject, scope, ask in _core_calls(api, needs, now):
        try:
            await ask()
        except CredentialsRefused as error:
            if error.status != 403:
                return TokenAccess(api, False, [_refused(store, error)], None)
            is_accepted = True
            findings.append(missing_scope_finding(store, subject, scope, error))
        except UpstreamError as error:
            findings.append(upstream_error_finding(error, store, "core API", endpoints.api_url))
            break
        else:
            is_accepted = True
            findings.append(Finding(Level.OK, store, subject, f"can be read (scope {scope})."))
    if is_accepted:
        findings.insert(0, Finding(Level.OK, store, TOKEN, "BigCommerce accepts it."))
    configs, more = await _try_b2b(api, endpoints)
    return TokenAccess(api, is_accepted, [*findings, *more], configs)


def merge_tokens(store: str, tried: Sequence[TokenAccess]) -> tuple[TokenAccess, list[Finding]]:
    """The token that the workers use, and the findings about all tokens.

    It is the first that is accepted, as for the workers. The others are kept for rotation: only their problems are
    reported, as warnings. When no token is accepted, each is an error.
    """
    main = next((access for access in tried if access.is_accepted), None)
    main = main or next((access for access in tried if access.is_accepted is None), tried[0])
    if len(tried) == 1:
        return main, main.findings
    findings: list[Finding] = []
    for number, access in enumerate(tried, start=1):
        token = f"{TOKEN} (item {number})"
        of_token = access.findings if access is main else _spare_token_findings(store, access, main)
        findings += [replace(finding, subject=finding.subject.replace(TOKEN, token)) for finding in of_token]
    return main, findings


def _spare_token_findings(store: str, access: TokenAccess, main: TokenAccess) -> list[Finding]:
    if access.is_accepted is None and main.is_accepted is None:
        return []  # no answer: reported once, for the main token
    warnings = [
        replace(
            finding,
            level=Level.WARNING if main.is_accepted else finding.level,
            subject=finding.subject if finding.subject == TOKEN else f"{TOKEN}, {finding.subject}",
        )
        for finding in access.findings
        if finding.level is not Level.OK
    ]
    return warnings or [Finding(Level.OK, store, TOKEN, "BigCommerce accepts it too, with all scopes that are needed.")]


def _core_calls(api: StoreApi, needs: Needs, now: float) -> list[tuple[str, str, Callable[[], Awaitable[object]]]]:
    core = api.core
    calls: list[tuple[str, str, Callable[[], Awaitable[object]]]] = [
        ("orders", ORDERS, lambda: core.orders(limit=1)),
    ]
    if needs.metafields:
        # Only for orders from now on, to keep the answer small.
        since = datetime.fromtimestamp(now, UTC)
        calls.append(("order metafields", ORDERS, lambda: core.orders_metafields(created_since=since)))
    if needs.customer:
        with_attributes, with_form_fields = needs.customer_attributes, needs.customer_form_fields
        calls.append(
            (
                "customers",
                CUSTOMERS,
                lambda: core.customer(1, attributes=with_attributes, form_fields=with_form_fields),
            )
        )
    if needs.transactions:
        # Of no order, to keep the answer small.
        calls.append(("transactions", TRANSACTIONS, lambda: _found_or_missing(core.transactions(NONEXISTENT_ORDER))))
    if needs.cart:
        calls.append(("carts", CARTS, lambda: _found_or_missing(core.cart_metafields(NONEXISTENT_CART))))
    return calls


async def _found_or_missing(asking: Awaitable[object]) -> None:
    """Wait for a call that reads something which does not exist: its 404 is a success."""
    with suppress(NotFound):
        await asking


async def _try_b2b(api: StoreApi, endpoints: Endpoints) -> tuple[list[ExtraFieldConfig] | None, list[Finding]]:
    store, subject = api.account.store_hash, "B2B Edition"
    cure = "Check that B2B Edition is installed in this store and the token belongs to this store."
    try:
        configs = await api.b2b.extra_field_configs()
    except CredentialsRefused as error:
        if error.status == 403:
            return None, [missing_scope_finding(store, subject, B2B_EDITION, error)]
        message = f"refuses the access token ({describe(error)})."
        scope = f"Its API account needs the scope {B2B_EDITION} ({SCOPES_AT})."
        return None, [Finding(Level.ERROR, store, subject, message, f"{cure} {scope}")]
    except Refused as error:
        message = f"does not serve this store ({describe(error)})."
        return None, [Finding(Level.ERROR, store, subject, message, cure)]
    except UpstreamError as error:
        return None, [_gateway_finding(error, store, subject, endpoints.b2b_api_url)]
    known = Finding(Level.OK, store, subject, f"answers: orders have {counted(len(configs), 'extra field')}.")
    return configs, [known, *await _try_people(api, endpoints), await _try_write(api)]


async def _try_people(api: StoreApi, endpoints: Endpoints) -> list[Finding]:
    """Findings where B2B Edition does not tell who is a Company user or a Super Admin; none where it does."""
    store, subject = api.account.store_hash, "B2B Edition, buyers"
    try:
        with suppress(Refused):  # of a customer who cannot exist: any answer of the API's own will do
            await api.b2b.user_of_customer(NONEXISTENT_CUSTOMER)
        await api.b2b.super_admin_ids()
    except CredentialsRefused as error:
        return [missing_scope_finding(store, subject, B2B_EDITION, error)]
    except Refused as error:
        message = f"the list of Super Admins cannot be read ({describe(error)})."
        cost = "Without it, a Create is sent for the orders of shoppers of no Company, too."
        return [Finding(Level.WARNING, store, subject, message, cost)]
    except UpstreamError as error:
        return [_gateway_finding(error, store, subject, endpoints.b2b_api_url)]
    return []


def _gateway_finding(error: UpstreamError, store: str, subject: str, url: str) -> Finding:
    """The finding for a failed read. A 404 that is not the API's own is how a token without the scope is answered."""
    if not isinstance(error, TryAgain) or error.status != 404:
        return upstream_error_finding(error, store, subject, url)
    message = f"answers 404, but not as its API does ({error.message}): the access token may lack {B2B_EDITION}."
    cure = f"Give its API account that scope {SCOPES_AT}. If it has it, check for a proxy in front of {url}."
    return Finding(Level.ERROR, store, subject, message, cure)


async def _try_write(api: StoreApi) -> Finding:
    """Check whether the token may write, with a write that can change nothing."""
    store, subject = api.account.store_hash, "B2B Edition, writing"
    unknown = "could not be checked"
    cure = f"Check that the token's API account has the scope {B2B_EDITION} ({SCOPES_AT})."
    try:
        await api.b2b.update_order(NONEXISTENT_ORDER, Values("enrich check", {}))
    except NotFound:
        return Finding(Level.OK, store, subject, f"is allowed (scope {B2B_EDITION}).")
    except CredentialsRefused as error:
        return missing_scope_finding(store, subject, B2B_EDITION, error)
    except Refused as error:
        # It validated the body, so it most likely accepted the token.
        return Finding(Level.OK, store, subject, f"seems to be allowed ({describe(error)}).")
    except UpstreamError as error:
        return Finding(Level.WARNING, store, subject, f"{unknown} ({describe(error)}).", cure)
    return Finding(
        Level.WARNING, store, subject, f"{unknown} (BigCommerce accepted a write to an order that cannot exist).", cure
    )


def is_refused_token(finding: Finding) -> bool:
    """Whether the finding says that BigCommerce refuses the store's only token."""
    return finding.subject == TOKEN and finding.level is Level.ERROR


def _refused(store: str, error: CredentialsRefused) -> Finding:
    message = f"BigCommerce refuses it ({describe(error)}): it is mistyped, revoked, or belongs to another store."
    return Finding(Level.ERROR, store, TOKEN, message, f"Compare it with the API account {SCOPES_AT}.")
