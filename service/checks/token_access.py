"""What the store's access tokens may do: each is tried with the calls that orders will need."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from service.bigcommerce import StoreApi
from service.bigcommerce.models import ExtraFieldConfig, Values
from service.checks.findings import Finding, Level, counted
from service.checks.upstream_errors import SCOPES_AT, lacks_scope, said, trouble
from service.errors import CredentialsRefused, NotFound, Refused, UpstreamError
from service.rules import Needs
from service.stores import Endpoints

# Scopes are named as in the control panel.
ORDERS = "Orders: read-only"
CUSTOMERS = "Customers: read-only"
B2B_EDITION = "B2B Edition: modify"

TOKEN = "access_token"  # noqa: S105 - a key, no secret
"""The subject of what is found about a token as a whole: its key in the stores file."""

NO_ORDER = 2**53 - 1
"""The id of an order that cannot exist, in no store and at no time.

Whether a token may write shows only when it writes. This is a write to an order that is not there: the answer "there
is no such order" tells that the token was let through, and nothing can be changed by it. Orders are counted up one
by one, so no store gets near nine thousand million millions. It is the largest whole number that all JSON and
JavaScript read exactly, so it is not rounded to another id; cut to 32 bits on its way it would be -1 or 4294967295,
which are no orders either.
"""


@dataclass(frozen=True, slots=True)
class Access:
    """How one access token fared: whether the core API takes it (None: nobody answered), and what was found.

    ``configs`` are the store's extra-field configs, None when they could not be read. ``api`` is what it was tried
    with.
    """

    api: StoreApi
    is_accepted: bool | None
    findings: list[Finding]
    configs: list[ExtraFieldConfig] | None


async def try_token(api: StoreApi, needs: Needs, endpoints: Endpoints, *, now: float) -> Access:
    """Try the one token of ``api`` with each kind of call that these rules need. ``now`` is Unix seconds."""
    store = api.account.store_hash
    findings: list[Finding] = []
    is_accepted: bool | None = None
    for subject, scope, ask in _core_calls(api, needs, now):
        try:
            await ask()
        except CredentialsRefused as error:
            if error.status != 403:
                return Access(api, False, [_refused(store, error)], None)
            is_accepted = True
            findings.append(lacks_scope(store, subject, scope, error))
        except UpstreamError as error:
            findings.append(trouble(error, store, "core API", endpoints.api_url))
            break
        else:
            is_accepted = True
            findings.append(Finding(Level.OK, store, subject, f"can be read (scope {scope})."))
    if is_accepted:
        findings.insert(0, Finding(Level.OK, store, TOKEN, "BigCommerce accepts it."))
    configs, more = await _try_b2b(api, endpoints)
    return Access(api, is_accepted, [*findings, *more], configs)


def of_all_tokens(store: str, tried: Sequence[Access]) -> tuple[Access, list[Finding]]:
    """The token that orders are enriched with, and what is to be said of it and of the others.

    It is the first that is accepted, as for the workers. Of the others, kept for rotation, only what is wrong is
    told, as a warning: they matter when the first is gone. When none is accepted, each is an error.
    """
    main = next((access for access in tried if access.is_accepted), None)
    main = main or next((access for access in tried if access.is_accepted is None), tried[0])
    if len(tried) == 1:
        return main, main.findings
    findings: list[Finding] = []
    for number, access in enumerate(tried, start=1):
        token = f"{TOKEN} (item {number})"
        told = access.findings if access is main else _of_spare(store, access, main)
        findings += [replace(finding, subject=finding.subject.replace(TOKEN, token)) for finding in told]
    return main, findings


def _of_spare(store: str, access: Access, main: Access) -> list[Finding]:
    if access.is_accepted is None and main.is_accepted is None:
        return []  # nobody answered: that is told once
    wrong = [
        replace(
            finding,
            level=Level.WARNING if main.is_accepted else finding.level,
            subject=finding.subject if finding.subject == TOKEN else f"{TOKEN}, {finding.subject}",
        )
        for finding in access.findings
        if finding.level is not Level.OK
    ]
    return wrong or [Finding(Level.OK, store, TOKEN, "BigCommerce accepts it too, for all that is needed.")]


def _core_calls(api: StoreApi, needs: Needs, now: float) -> list[tuple[str, str, Callable[[], Awaitable[object]]]]:
    core = api.core
    calls: list[tuple[str, str, Callable[[], Awaitable[object]]]] = [
        ("orders", ORDERS, lambda: core.orders(limit=1)),
    ]
    if needs.metafields:
        # Those of orders from now on: hardly any, so the answer is small.
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
    return calls


async def _try_b2b(api: StoreApi, endpoints: Endpoints) -> tuple[list[ExtraFieldConfig] | None, list[Finding]]:
    store, subject = api.account.store_hash, "B2B Edition"
    is_here = "Is B2B Edition installed in this store, and is the token of this store?"
    try:
        configs = await api.b2b.extra_field_configs()
    except CredentialsRefused as error:
        if error.status == 403:
            return None, [lacks_scope(store, subject, B2B_EDITION, error)]
        message = f"refuses the access token ({said(error)})."
        cure = f"{is_here} Its API account needs the scope {B2B_EDITION} ({SCOPES_AT})."
        return None, [Finding(Level.ERROR, store, subject, message, cure)]
    except Refused as error:
        message = f"answers, but not for this store ({said(error)})."
        return None, [Finding(Level.ERROR, store, subject, message, is_here)]
    except UpstreamError as error:
        return None, [trouble(error, store, subject, endpoints.b2b_api_url)]
    known = Finding(Level.OK, store, subject, f"answers: orders have {counted(len(configs), 'extra field')}.")
    return configs, [known, await _try_to_write(api)]


async def _try_to_write(api: StoreApi) -> Finding:
    """Whether the token may write, told by a write that has nothing to write to."""
    store, subject = api.account.store_hash, "B2B Edition, writing"
    doubt = "whether the token may write could not be told"
    cure = f"Look whether its API account has the scope {B2B_EDITION} ({SCOPES_AT})."
    try:
        await api.b2b.update_order(NO_ORDER, Values("enrich check", {}))
    except NotFound:
        return Finding(Level.OK, store, subject, f"is allowed (scope {B2B_EDITION}).")
    except CredentialsRefused as error:
        return lacks_scope(store, subject, B2B_EDITION, error)
    except Refused as error:
        # It found fault with what was sent: it had let the token through, most likely.
        return Finding(Level.OK, store, subject, f"seems to be allowed ({said(error)}).")
    except UpstreamError as error:
        return Finding(Level.WARNING, store, subject, f"{doubt} ({said(error)}).", cure)
    return Finding(Level.WARNING, store, subject, f"{doubt} (an order that cannot exist was found).", cure)


def _refused(store: str, error: CredentialsRefused) -> Finding:
    message = f"BigCommerce refuses it ({said(error)}): it is mistyped, revoked, or another store's."
    return Finding(Level.ERROR, store, TOKEN, message, f"Compare it with the API account {SCOPES_AT}.")
