"""Checks of access tokens: each answer that BigCommerce may give, and the finding for it."""

import socket
import ssl
from dataclasses import replace
from typing import Any

import httpx
import pytest

from service.bigcommerce import QuotaWaitingApi
from service.checks.access.token_access import (
    NONEXISTENT_CART,
    NONEXISTENT_CUSTOMER,
    NONEXISTENT_ORDER,
    TokenAccess,
    merge_tokens,
    try_token,
)
from service.rules import Needs
from service.stores import Endpoints
from tests.fakes.stacks.checks import lines
from tests.fakes.stacks.loader_stack import NOTHING
from tests.fakes.upstream import FakeUpstream, account, transport_to

NOW = 1_768_078_800.0
EVERYTHING = replace(
    NOTHING,
    metafields=True,
    customer=True,
    customer_attributes=True,
    customer_form_fields=True,
    cart=True,
    transactions=True,
)

ORDERS, METAFIELDS, CUSTOMERS = "GET /v2/orders", "GET /v3/orders/metafields", "GET /v3/customers"
TRANSACTIONS = f"GET /v3/orders/{NONEXISTENT_ORDER}/transactions"
CARTS = f"GET /v3/carts/{NONEXISTENT_CART}/metafields"
CONFIGS = "GET /api/v3/io/orders/extra-fields"
USERS = f"GET /api/v3/io/users/customer/{NONEXISTENT_CUSTOMER}"
SUPER_ADMINS = "GET /api/v3/io/companies/super-admins"
WRITE = f"PUT /api/v3/io/orders/{NONEXISTENT_ORDER}"

PEOPLE = "B2B Edition, buyers"
NEEDS = "If this network needs a proxy, set HTTPS_PROXY."


@pytest.fixture(autouse=True)
def no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)


ACCEPTED = "ok  access_token  BigCommerce accepts it."
CAN_READ = "ok  orders  can be read (scope Orders: read-only)."
ANSWERS = "ok  B2B Edition  answers: orders have 1 extra field."
MAY_WRITE = "ok  B2B Edition, writing  is allowed (scope B2B Edition: modify)."

AT = "in the store's control panel, Settings, Store-level API accounts"
OF_THIS_STORE = "Check that B2B Edition is installed in this store and the token belongs to this store."
PROXY = "Check for a proxy in between, and check [bigcommerce] in the stores file."


NO_ROUTE = (
    "error  {subject}  answers 404, but not as its API does ({said}): the access token may lack B2B Edition: modify."
    f" Give its API account that scope {AT}. If it has it, check for a proxy in front of"
    " https://api-b2b.bigcommerce.com."
)


def core_lacks(subject: str, scope: str) -> str:
    return f"error  {subject}  the access token lacks the scope {scope} (403). Give its API account that scope {AT}."


def failure(status: int, message: str) -> tuple[int, Any]:
    return status, {"code": status, "data": {"errMsg": message}, "meta": {"message": message}}


def caused_by(cause: Exception, text: str = "lost") -> httpx.ConnectError:
    error = httpx.ConnectError(text)
    error.__cause__ = cause
    return error


@pytest.fixture
def upstream() -> FakeUpstream:
    """A healthy store: only the order and the cart that cannot exist are not found."""
    upstream = FakeUpstream()
    upstream.on(ORDERS, 204)
    upstream.on(METAFIELDS, {"data": []})
    upstream.on(CUSTOMERS, {"data": []})
    upstream.on(TRANSACTIONS, (404, {"status": 404, "title": "Not found", "type": "x"}))
    upstream.on(CARTS, (404, {"status": 404, "title": "Not found", "type": "x"}))
    upstream.on(CONFIGS, {"code": 200, "data": [{"fieldName": "note"}], "meta": {}})
    upstream.on(USERS, failure(404, "User does not exist."))
    upstream.on(SUPER_ADMINS, {"code": 200, "data": [], "meta": {}})
    upstream.on(WRITE, failure(404, "Order Does Not Exist."))
    return upstream


async def tried(upstream: FakeUpstream, needs: Needs = NOTHING, token: str = "access-token") -> TokenAccess:
    async with transport_to(upstream) as transport:
        return await try_token(QuotaWaitingApi(transport, account(token)), needs, Endpoints(), now=NOW)


async def found(upstream: FakeUpstream, needs: Needs = NOTHING) -> list[str]:
    return lines((await tried(upstream, needs)).findings)


async def test_a_token_with_all_scopes_is_ok(upstream: FakeUpstream) -> None:
    access = await tried(upstream, EVERYTHING)
    assert lines(access.findings) == [
        ACCEPTED,
        CAN_READ,
        "ok  order metafields  can be read (scope Orders: read-only).",
        "ok  customers  can be read (scope Customers: read-only).",
        "ok  transactions  can be read (scope Order Transactions: read-only).",
        "ok  carts  can be read (scope Carts: read-only).",
        ANSWERS,
        MAY_WRITE,
    ]
    assert access.is_accepted is True
    assert [config.field_name for config in access.configs or []] == ["note"]


async def test_only_calls_that_the_rules_need_are_made(upstream: FakeUpstream) -> None:
    await tried(upstream)
    assert upstream.asked == [ORDERS, CONFIGS, USERS, SUPER_ADMINS, WRITE]


async def test_every_list_call_is_limited(upstream: FakeUpstream) -> None:
    await tried(upstream, EVERYTHING)
    orders, metafields, customers, *_ = (dict(request.url.params) for request in upstream.requests)
    assert orders["limit"] == "1"
    assert metafields["date_created:min"] == "2026-01-10T21:00:00"
    assert customers == {"id:in": "1", "include": "attributes,formfields"}


async def test_the_only_write_is_to_an_order_that_cannot_exist(upstream: FakeUpstream) -> None:
    await tried(upstream, EVERYTHING)
    assert [route for route in upstream.asked if not route.startswith("GET ")] == [
        "PUT /api/v3/io/orders/9007199254740991"
    ]
    assert upstream.bodies(WRITE) == [{"poNumber": "enrich check"}]


@pytest.mark.parametrize(
    ("route", "line"),
    [
        (ORDERS, core_lacks("orders", "Orders: read-only")),
        (METAFIELDS, core_lacks("order metafields", "Orders: read-only")),
        (CUSTOMERS, core_lacks("customers", "Customers: read-only")),
        (TRANSACTIONS, core_lacks("transactions", "Order Transactions: read-only")),
        (CARTS, core_lacks("carts", "Carts: read-only")),
        (CONFIGS, core_lacks("B2B Edition", "B2B Edition: modify")),
        (WRITE, core_lacks("B2B Edition, writing", "B2B Edition: modify")),
    ],
)
async def test_403_is_a_missing_scope(upstream: FakeUpstream, route: str, line: str) -> None:
    upstream.on(route, (403, {}))
    reported = await found(upstream, EVERYTHING)
    assert [other for other in reported if not other.startswith("ok")] == [line]
    assert reported[0] == ACCEPTED


async def test_401_is_an_invalid_token(upstream: FakeUpstream) -> None:
    upstream.on(ORDERS, (401, {"title": "X-Auth-Token header is invalid"}))
    access = await tried(upstream)
    assert access.is_accepted is False
    assert lines(access.findings) == [
        "error  access_token  BigCommerce refuses it (401: X-Auth-Token header is invalid): it is mistyped, revoked,"
        f" or belongs to another store. Compare it with the API account {AT}."
    ]
    assert upstream.asked == [ORDERS]


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (
            (401, {"meta": {"message": "Store hash and token do not match."}}),
            "error  B2B Edition  refuses the access token (401: Store hash and token do not match.)."
            f" {OF_THIS_STORE} Its API account needs the scope B2B Edition: modify ({AT}).",
        ),
        (
            failure(404, "No such store."),
            f"error  B2B Edition  does not serve this store (404: No such store.). {OF_THIS_STORE}",
        ),
        (
            failure(400, "Not enabled."),
            f"error  B2B Edition  does not serve this store (400: Not enabled.). {OF_THIS_STORE}",
        ),
        (
            httpx.Response(404, text="<h1>nothing here</h1>"),
            NO_ROUTE.format(subject="B2B Edition", said="Not Found"),
        ),
        (
            httpx.Response(302, headers={"Location": "https://login.example"}),
            f"error  B2B Edition  the server at api-b2b.bigcommerce.com is not BigCommerce's API (302: Found). {PROXY}",
        ),
        (
            httpx.Response(200, text="<h1>Welcome</h1>"),
            "error  B2B Edition  the server at api-b2b.bigcommerce.com is not BigCommerce's API"
            f" (200: the answer is not JSON, or too large). {PROXY}",
        ),
        (
            (503, {"meta": {"message": "Down."}}),
            "error  B2B Edition  BigCommerce has an internal problem (503: Down.)."
            " Run the check again in a few minutes; status.bigcommerce.com lists outages.",
        ),
        (
            httpx.Response(429, headers={"X-Request-Window-Resets-After": "45 s"}, json={}),
            "warning  B2B Edition  could not be checked: the store's quota is used up for 45 s more."
            " Run the check again after that.",
        ),
        (
            caused_by(socket.gaierror(-2, "Name or service not known")),
            "error  B2B Edition  this machine cannot resolve the host api-b2b.bigcommerce.com."
            " Check this machine's DNS, and the URL under [bigcommerce] in the stores file.",
        ),
        (
            caused_by(ssl.SSLCertVerificationError(1, "self-signed")),
            "error  B2B Edition  no secure connection to api-b2b.bigcommerce.com (ConnectError: lost)."
            " If a proxy decrypts TLS here, set SSL_CERT_FILE to its certificate authority.",
        ),
        (
            httpx.ConnectTimeout("slow"),
            "error  B2B Edition  api-b2b.bigcommerce.com does not answer in time."
            f" Check that a firewall or proxy does not block connections to api-b2b.bigcommerce.com. {NEEDS}",
        ),
        (
            caused_by(ConnectionRefusedError(111, "refused")),
            "error  B2B Edition  no connection to api-b2b.bigcommerce.com (ConnectError: lost)."
            f" Check that a firewall or proxy does not block connections to api-b2b.bigcommerce.com. {NEEDS}",
        ),
    ],
)
async def test_each_failure_of_b2b_edition_has_its_finding(upstream: FakeUpstream, answer: Any, line: str) -> None:
    upstream.on(CONFIGS, answer)
    access = await tried(upstream)
    assert lines(access.findings) == [ACCEPTED, CAN_READ, line]
    assert access.configs is None
    assert WRITE not in upstream.asked


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (
            httpx.ConnectTimeout("slow"),
            "error  core API  api.bigcommerce.com does not answer in time."
            f" Check that a firewall or proxy does not block connections to api.bigcommerce.com. {NEEDS}",
        ),
        (
            (404, {"title": "No such store"}),
            "error  core API  BigCommerce does not know this store (404: No such store). Check the store hash.",
        ),
        (
            (422, {"title": "Odd"}),
            "error  core API  BigCommerce refuses Get All Orders (422: Odd). Check the store hash.",
        ),
    ],
)
async def test_a_failing_core_api_is_one_finding_beside_b2b_edition(
    upstream: FakeUpstream, answer: Any, line: str
) -> None:
    upstream.on(ORDERS, answer)
    access = await tried(upstream, EVERYTHING)
    assert lines(access.findings) == [line, ANSWERS, MAY_WRITE]
    assert access.is_accepted is None


UNKNOWN = "warning  B2B Edition, writing  could not be checked"
CURE = f"Check that the token's API account has the scope B2B Edition: modify ({AT})."


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (failure(422, "Odd."), "ok  B2B Edition, writing  seems to be allowed (422: Odd.)."),
        ((503, {}), f"{UNKNOWN} (503: Service Unavailable). {CURE}"),
        (httpx.ReadTimeout("late"), f"{UNKNOWN} (no answer: ReadTimeout: late). {CURE}"),
        ({"code": 200, "data": {}}, f"{UNKNOWN} (BigCommerce accepted a write to an order that cannot exist). {CURE}"),
        (
            httpx.Response(429, headers={"X-Request-Window-Resets-After": "45 s"}, json={}),
            f"{UNKNOWN} (429: Too Many Requests). {CURE}",
        ),
    ],
)
async def test_unclear_answers_to_the_write_are_not_guessed(upstream: FakeUpstream, answer: Any, line: str) -> None:
    upstream.on(WRITE, answer)
    assert (await found(upstream))[-1] == line


async def test_no_finding_contains_the_token(upstream: FakeUpstream) -> None:
    upstream.on(ORDERS, (401, {"title": "access-token is no token"}))
    upstream.on(CONFIGS, (401, {"title": "access-token is no token"}))
    assert "*** is no token" in str(await found(upstream))
    assert "access-token" not in str(await found(upstream))


# ── several tokens ──────────────────────────────────────────────────────────────────────────────────────────────

REFUSED = "access_token (item {})  BigCommerce refuses it (401: Unauthorized)"


async def all_found(upstream: FakeUpstream, *answers: Any) -> tuple[TokenAccess, list[str]]:
    """The findings for as many tokens as there are answers to Get All Orders."""
    upstream.on(ORDERS, *answers)
    main, findings = merge_tokens("abc123", [await tried(upstream, token=f"token{n}") for n in range(len(answers))])
    return main, lines(findings)


async def test_a_spare_token_is_one_finding(upstream: FakeUpstream) -> None:
    main, reported = await all_found(upstream, 204, 204)
    assert reported == [
        "ok  access_token (item 1)  BigCommerce accepts it.",
        CAN_READ,
        ANSWERS,
        MAY_WRITE,
        "ok  access_token (item 2)  BigCommerce accepts it too, with all scopes that are needed.",
    ]
    assert main.api.account == account("token0")


async def test_a_refused_token_beside_a_good_one_is_a_warning(upstream: FakeUpstream) -> None:
    main, reported = await all_found(upstream, 401, 204)
    assert reported[0].startswith(f"warning  {REFUSED.format(1)}")
    assert reported[1:] == ["ok  access_token (item 2)  BigCommerce accepts it.", CAN_READ, ANSWERS, MAY_WRITE]
    assert main.api.account == account("token1")


async def test_refused_tokens_alone_are_errors(upstream: FakeUpstream) -> None:
    main, reported = await all_found(upstream, 401, 401)
    assert [line.startswith(f"error  {REFUSED.format(n)}") for n, line in enumerate(reported, start=1)] == [True, True]
    assert main.is_accepted is False


async def test_a_scope_that_a_spare_token_lacks_is_a_warning(upstream: FakeUpstream) -> None:
    _, reported = await all_found(upstream, 204, (403, {}))
    lacks = core_lacks("access_token (item 2), orders", "Orders: read-only")
    assert reported[-1] == lacks.replace("error", "warning", 1)


async def test_a_broken_network_is_reported_once(upstream: FakeUpstream) -> None:
    main, reported = await all_found(upstream, *[httpx.ConnectTimeout("slow")] * 2)
    assert [line.split("  ")[:2] for line in reported] == [
        ["error", "core API"],
        ["ok", "B2B Edition"],
        ["ok", "B2B Edition, writing"],
    ]
    assert main.is_accepted is None


# ── who is a buyer ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("route", "answer", "line"),
    [
        (USERS, (404, {"message": "no Route matched"}), NO_ROUTE.format(subject=PEOPLE, said="no Route matched")),
        (USERS, httpx.Response(404, html="<html>"), NO_ROUTE.format(subject=PEOPLE, said="Not Found")),
        (USERS, (403, {}), core_lacks(PEOPLE, "B2B Edition: modify")),
        (
            SUPER_ADMINS,
            (404, {"message": "no Route matched"}),
            NO_ROUTE.format(subject=PEOPLE, said="no Route matched"),
        ),
        (
            SUPER_ADMINS,
            failure(404, "Not Found"),
            f"warning  {PEOPLE}  the list of Super Admins cannot be read (404: Not Found)."
            " Without it, a Create is sent for the orders of shoppers of no Company, too.",
        ),
    ],
)
async def test_b2b_edition_that_does_not_tell_who_is_a_buyer_is_reported(
    upstream: FakeUpstream, route: str, answer: Any, line: str
) -> None:
    upstream.on(route, answer)
    assert await found(upstream) == [ACCEPTED, CAN_READ, ANSWERS, line, MAY_WRITE]
