"""Requests to another host, writes from another site, large bodies, an address with a prefix."""

import httpx
import pytest
from structlog.testing import capture_logs

from service.console.access import Role
from service.console.address import ConsoleAddress
from service.orders.state.order_entry import Status
from tests.fakes.console import HOST, ConsoleWorld
from tests.fakes.orders import failed

PUBLIC = "https://enrich.example.com/console"
RETRY = "/orders/abc123/251/retry"


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "cross-site", "origin": f"http://{HOST}"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": f"http://{HOST}.evil.example"},
        {},
    ],
    ids=str,
)
async def test_a_write_from_another_site_does_nothing(world: ConsoleWorld, headers: dict[str, str]) -> None:
    await world.keep(failed(251))
    async with world.person(Role.OPERATOR) as client:
        client.headers.pop("sec-fetch-site")
        with capture_logs() as logs:
            assert (await client.post(RETRY, headers=headers)).status_code == 403
        assert [(line["event"], line["reason"]) for line in logs] == [("console_request_refused", "cross_site")]
    assert (await world.entry(251)).status is Status.FAILED


async def test_a_browser_that_sends_only_an_origin_may_write(world: ConsoleWorld) -> None:
    await world.keep(failed(251))
    async with world.person(Role.OPERATOR) as client:
        client.headers.pop("sec-fetch-site")
        assert (await client.post(RETRY, headers={"origin": f"http://{HOST}"})).status_code == 303
    assert (await world.entry(251)).status is Status.QUEUED


async def test_a_cross_site_sign_in_is_refused(world: ConsoleWorld) -> None:
    code = await world.code()
    async with world.visitor() as client:
        answer = await client.post("/sign-in", data={"code": code}, headers={"sec-fetch-site": "cross-site"})
        assert answer.status_code == 403
        assert await world.sign_in(client, code) == 303


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "10.0.0.7:8100", ""]
)
async def test_another_host_name_is_refused(world: ConsoleWorld, host: str) -> None:
    async with world.person() as client:
        answer = await client.get("/", headers={"host": host})
        assert answer.status_code == 421
        assert "ENRICH_CONSOLE_URL" in answer.text


@pytest.mark.parametrize("host", [HOST, "localhost:1234", "localhost", "[::1]:8100", "127.0.0.2"])
async def test_this_machine_is_reached_by_each_of_its_names(world: ConsoleWorld, host: str) -> None:
    async with world.visitor() as client:
        assert (await client.get("/sign-in", headers={"host": host})).status_code == 200


async def test_probes_reach_the_health_check_by_any_name(world: ConsoleWorld) -> None:
    async with world.visitor() as client:
        assert (await client.get("/healthz", headers={"host": "10.1.2.3:8100"})).status_code == 200


def under_prefix(world: ConsoleWorld) -> ConsoleWorld:
    return ConsoleWorld(world.redis, world.folder, ConsoleAddress.of(PUBLIC, port=8100))


async def test_all_addresses_of_a_page_have_the_prefix(world: ConsoleWorld) -> None:
    await world.keep(failed(251))
    prefixed = under_prefix(world)
    async with prefixed.person(Role.ADMIN) as client:
        for path in ("/", "/orders", "/orders/abc123/251", "/stores/abc123"):
            text = (await client.get(path)).text
            targets = [
                part.split('"')[0]
                for name in ("href", "src", "action", "hx-get")
                for part in text.split(f'{name}="')[1:]
            ]
            assert targets
            # The order in BigCommerce's control panel is the only way out.
            expected = ("/console/", "#main", "https://store-abc123.mybigcommerce.com/manage/")
            assert [target for target in targets if not target.startswith(expected)] == [], path
        answer = await client.post(RETRY)
        assert answer.headers["location"] == "/console/orders/abc123/251?done=retried"


async def test_outside_the_prefix_there_is_only_the_health_check(world: ConsoleWorld) -> None:
    async with under_prefix(world).visitor() as client:
        root = httpx.URL("https://enrich.example.com")
        assert (await client.get(root.join("/healthz"))).status_code == 200
        assert (await client.get(root.join("/console"))).headers["location"] == "/console/"
        assert (await client.get(root.join("/orders"))).headers["location"].startswith("/console/sign-in")


async def test_over_tls_browsers_are_told_to_stay_there(world: ConsoleWorld) -> None:
    async with under_prefix(world).visitor() as client:
        assert "max-age" in (await client.get("/sign-in")).headers["strict-transport-security"]
    async with world.visitor() as client:
        assert "strict-transport-security" not in (await client.get("/sign-in")).headers


async def test_the_public_address_may_write_through_a_proxy_that_rewrites_the_host(world: ConsoleWorld) -> None:
    await world.keep(failed(251))
    async with under_prefix(world).person(Role.OPERATOR) as client:
        client.headers.pop("sec-fetch-site")
        headers = {"host": HOST, "origin": "https://enrich.example.com"}
        assert (await client.post(RETRY, headers=headers)).status_code == 303
