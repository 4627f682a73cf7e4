"""Every route of the console, walked with everybody: nothing leaks, and nobody writes who may not."""

import re
from collections.abc import Iterator

import httpx
import pytest
from starlette.routing import Route
from structlog.testing import capture_logs

from service.console.app import PAGES
from service.console.guard import content_security_policy
from service.console.image_hosts import ImageHosts
from service.console.people.access import Role
from service.orders.failures.failure_groups import group_id
from service.orders.failures.retry_jobs import RetryJobs
from service.orders.state.order_entry import Status
from tests.fakes.console import ConsoleWorld
from tests.fakes.orders import enriched, failed

POLICY = content_security_policy(ImageHosts())
PUBLIC = {"/healthz", "/sign-in"}
# What only the store abc123 has.
TELLING = ("Great Buys", "abc123", "PO-4711", "CC-210", "251")
PARAMETERS = {"store": "abc123", "order": "251", "customer": "7", "name": "htmx.min.js", "group": group_id(failed(251))}


def routes(world: ConsoleWorld) -> Iterator[tuple[str, str, Role]]:
    """Method, path and needed role of all routes, of the order 251 of abc123, its group, its retry and the buyer 7."""
    for route in world.app.routes:
        assert isinstance(route, Route)
        assert route.methods
        path = re.sub(r"{(\w+)(?::\w+)?}", lambda found: PARAMETERS.get(found[1], "0" * 16), route.path)
        for method in sorted(route.methods - {"HEAD"}):
            yield method, path, getattr(route, "needs", Role.VIEWER)


@pytest.fixture
async def stocked(world: ConsoleWorld) -> ConsoleWorld:
    await world.keep(enriched(250), failed(251))
    PARAMETERS["job"], _ = await RetryJobs(world.redis).start(
        "abc123", "0" * 16, [251], reason="Cost Center", who="vera", until_ms=0
    )
    return world


async def keys(world: ConsoleWorld) -> set[bytes]:
    """All keys in Redis, without the counters, which are added up when somebody reads them."""
    return {key for key in await world.redis.keys() if b"statistics" not in key}


async def test_nobody_gets_anything_but_the_way_to_sign_in(stocked: ConsoleWorld) -> None:
    async with stocked.visitor() as client:
        for method, path, _ in routes(stocked):
            if path in PUBLIC:
                continue
            answer = await client.request(method, path)
            assert answer.status_code in (303, 401), (method, path)
            if answer.status_code == 303:
                assert answer.headers["location"].startswith("/sign-in"), (method, path)
            assert [text for text in TELLING[:4] if text in answer.text] == [], (method, path)
        for path in PUBLIC:
            assert (await client.get(path)).status_code == 200
        assert (await client.get("/static/console.css")).status_code == 200
        assert (await client.get("/static/icon.svg")).status_code == 200
        assert (await client.get("/no-such-page")).status_code == 303
        assert (await client.get("/no-such-page.json")).status_code == 401
        assert (await client.get("/static/no-such.js")).status_code == 401


async def test_a_person_of_another_store_learns_nothing(stocked: ConsoleWorld) -> None:
    async with stocked.person(Role.ADMIN, ["other1"]) as client:
        for method, path, _ in routes(stocked):
            if path in {*PUBLIC, "/sign-out"} or path.startswith("/static/"):
                continue
            answer = await client.request(method, path)
            if "abc123" in path:
                assert answer.status_code == 404, (method, path)
                unknown = await client.request(method, path.replace("abc123", "nosuch"))
                assert answer.text.replace("abc123", "nosuch") == unknown.text, path
            else:
                assert answer.status_code == 200, (method, path)
                assert [text for text in TELLING if text in answer.text] == [], (method, path)
        for path in ("/orders?store=abc123", "/orders.json?store=abc123", "/orders.csv?store=abc123"):
            assert (await client.get(path)).status_code == 404, path
    order = await stocked.entry(251)
    assert order.status is Status.FAILED


async def test_a_viewer_reads_everything_and_writes_nothing(stocked: ConsoleWorld) -> None:
    async with stocked.person(Role.VIEWER, ["abc123"]) as client:
        for method, path, needs in routes(stocked):
            if path in {*PUBLIC, "/sign-out"}:
                continue
            answer = await client.request(method, path)
            # A POST that only reads from BigCommerce leads to its page.
            allowed = 303 if method == "POST" else 200
            assert answer.status_code == (allowed if needs is Role.VIEWER else 403), (method, path)
        page = (await client.get("/orders/abc123/251")).text + (await client.get("/stores/abc123")).text
        assert not re.search(r'action="[^"]*/(retry|set|clear|as-buyer|check|pause|resume|register|repair)"', page)
    order = await stocked.entry(251)
    assert order.status is Status.FAILED


async def test_an_operator_writes_but_not_what_needs_an_admin(stocked: ConsoleWorld) -> None:
    async with stocked.person(Role.OPERATOR, ["abc123"]) as client:
        for method, path, needs in routes(stocked):
            if path in {*PUBLIC, "/sign-out"}:
                continue
            status = (await client.request(method, path)).status_code
            assert (status == 403) is (needs is Role.ADMIN), (method, path)
    order = await stocked.entry(251)
    assert order.status is Status.QUEUED


async def test_an_admin_may_do_everything(stocked: ConsoleWorld) -> None:
    async with stocked.person(Role.ADMIN, ["abc123"]) as client:
        for method, path, _ in routes(stocked):
            if path not in {*PUBLIC, "/sign-out"}:
                assert (await client.request(method, path)).status_code not in (401, 403), (method, path)


@pytest.mark.parametrize(
    "headers",
    [
        [("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:8100")],
        [("sec-fetch-site", "none")],
        [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
        [("origin", "https://evil.test")],
        [("origin", "http://127.0.0.1:8101")],
        [("origin", "null")],
        [],
    ],
    ids=str,
)
async def test_no_write_comes_from_another_site(stocked: ConsoleWorld, headers: list[tuple[str, str]]) -> None:
    async with stocked.person(Role.ADMIN) as client:
        cookie, before = client.cookies["enrich"], await keys(stocked)
    sent = httpx.Headers([("cookie", f"enrich={cookie}"), *headers])
    transport = httpx.ASGITransport(stocked.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=stocked.address.url("")) as client:
        with capture_logs() as logs:
            for method, path, _ in routes(stocked):
                if method == "POST":
                    answer = await client.post(path, headers=sent)
                    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False), path
        assert {(line["event"], line["reason"]) for line in logs} == {("console_request_refused", "cross_site")}
        assert (await client.get("/", headers=sent)).status_code == 200
    assert (await stocked.entry(251)).status is Status.FAILED
    assert await keys(stocked) == before


async def test_every_write_is_declared_for_an_operator_or_an_admin(world: ConsoleWorld) -> None:
    posts = [(path, needs) for method, path, needs in routes(world) if method == "POST"]
    reads = {"/orders/abc123/251/record", "/orders/abc123/251/preview", "/stores/abc123/webhooks"}
    assert {path for path, needs in posts if needs is Role.VIEWER} == {"/sign-in", "/sign-out", *reads}
    declared = [route for route in world.app.routes if getattr(route, "is_write", False)]
    assert len(declared) >= 2
    assert [route for route in declared if getattr(route, "needs", Role.VIEWER) is Role.VIEWER] == []


async def test_every_page_that_shows_data_has_its_json(world: ConsoleWorld) -> None:
    paths = {route.path for route in world.app.routes if isinstance(route, Route)}
    pages = [page for page in PAGES if hasattr(page, "as_json")]
    assert len(pages) >= 4
    assert [page.path for page in pages if f"{page.path}.json" not in paths] == []


async def test_every_answer_has_the_headers_that_protect_it(stocked: ConsoleWorld) -> None:
    async with stocked.person(Role.ADMIN) as client:
        answers = [await client.request(method, path) for method, path, _ in routes(stocked) if path != "/sign-out"]
        answers += [
            await client.get("/no-such-page"),
            await client.get("/orders?order=x"),
            await client.get("/", headers={"host": "evil"}),
        ]
    assert {answer.status_code for answer in answers} >= {200, 303, 400, 404, 421}
    for answer in answers:
        assert answer.headers["content-security-policy"] == POLICY, answer.url
        assert answer.headers["referrer-policy"] == "no-referrer", answer.url
        assert answer.headers["x-content-type-options"] == "nosniff", answer.url
        if not answer.url.path.startswith("/static/"):
            assert answer.headers["cache-control"] == "no-store", answer.url
    assert "unsafe" not in POLICY


async def test_no_page_has_what_its_policy_forbids(stocked: ConsoleWorld) -> None:
    async with stocked.person(Role.ADMIN) as client:
        for method, path, _ in routes(stocked):
            if method == "POST" or path.startswith("/static/"):
                continue
            text = (await client.get(path)).text
            assert not re.search(r"<style|\sstyle=|<script(?! src=)|\son\w+=|javascript:", text), path


async def test_no_answer_log_line_or_address_has_a_secret(stocked: ConsoleWorld) -> None:
    with capture_logs() as logs:
        async with stocked.person(Role.ADMIN) as client:
            cookie = client.cookies["enrich"]
            for method, path, _ in routes(stocked):
                if path != "/sign-out":
                    answer = await client.request(method, path)
                    shown = f"{answer.text}{answer.headers}"
                    assert not re.search(f"t0ken|s3cret|{re.escape(cookie)}", shown), (method, path)
    assert "console_action" in {line["event"] for line in logs}
    assert not re.search(f"t0ken|s3cret|{re.escape(cookie)}", str(logs))
