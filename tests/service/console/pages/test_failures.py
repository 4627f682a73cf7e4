"""The page of failures: groups, mutes, and retrying a group once, whoever asks for it."""

import asyncio
import csv
import io
import re
from dataclasses import replace

import httpx
import pytest
from structlog.testing import capture_logs

from service.console.people.access import Role
from service.console.rendering import as_code
from service.orders.failures.failure_groups import group_id
from service.orders.failures.retry_jobs import RetryJobs
from service.orders.failures.retry_runner import RetryRunner
from service.orders.state.attempt_notes import AttemptNote
from service.orders.state.order_entry import Entry, Status
from service.orders.state.queue import Queue
from tests.fakes.console import ConsoleWorld
from tests.fakes.orders import enriched, failed

GROUP = f"/failures/abc123/{group_id(failed())}"
NASTY = "<script>alert(1)</script>\"'&\u202e" + "x" * 65_536


async def run_jobs(world: ConsoleWorld) -> None:
    """What the console's process does in the background."""
    for store, job_id in await RetryJobs(world.redis).running():
        await RetryRunner(world.redis, slot_s=0.0, poll_interval_s=0.0).run_job(store, job_id)


async def seen(client: httpx.AsyncClient, path: str = GROUP) -> dict[str, str]:
    """The form of a group's page, as somebody has opened it."""
    found = re.search(r'name="seen" value="(\d+)"', (await client.get(path)).text)
    assert found
    return {"seen": found[1]}


async def press_retry(client: httpx.AsyncClient, form: dict[str, str], group: str = GROUP) -> str:
    """Where the button leads."""
    answer = await client.post(f"{group}/retry", data=form)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def test_failures_are_shown_in_groups_with_their_cure(world: ConsoleWorld) -> None:
    await world.keep(enriched(250), failed(251), failed(252), failed(253, "other1", reason="not_persisted"))
    async with world.person() as client:
        first, second = (await client.get("/failures.json")).json()
        page = (await client.get("/failures")).text
        table = list(csv.DictReader(io.StringIO((await client.get("/failures.csv")).text)))
        other = (await client.get("/failures.json?store=other1")).json()
    assert (first["store"], first["reason"], first["orders"], first["kind"]) == (
        "abc123",
        "Cost Center",
        2,
        "required_value",
    )
    assert first["cure"] == "Correct the order, the rule, or the default value of the field; then retry."
    assert (second["store"], second["kind"]) == ("other1", "not_persisted")
    assert other == [second]
    assert first["cure"] in page
    assert "3 orders need somebody, in 2 groups." in page
    assert [(row["reason"], row["orders"]) for row in table] == [("Cost Center", "2"), ("not_persisted", "1")]


async def test_a_group_lists_its_orders_before_anything_is_retried(world: ConsoleWorld) -> None:
    await world.keep(failed(251), age_s=200)
    await world.keep(failed(252), age_s=100)
    async with world.person(Role.OPERATOR) as client:
        page = (await client.get(GROUP)).text
        assert re.findall(r'href="/orders/abc123/(\d+)"', page) == ["252", "251"]
        assert "Retry these 2" in page
        assert (await client.get(f"{GROUP}.json")).json()["order_ids"] == [252, 251]
    assert (await world.entry(251)).status is Status.FAILED


async def test_a_group_is_retried_and_the_page_shows_how_it_went(world: ConsoleWorld) -> None:
    await world.keep(failed(251), failed(252))
    async with world.person(Role.OPERATOR, who="ana") as client:
        with capture_logs() as logs:
            job = await press_retry(client, await seen(client))
        assert logs == [
            {
                "event": "console_action",
                "log_level": "info",
                "who": "ana",
                "role": "operator",
                "action": "retry_group",
                "store": "abc123",
                "orders": [251, 252],
                "orders_count": 2,
                "detail": "",
            }
        ]
        page = (await client.get(job)).text
        assert 'hx-trigger="every 1s"' in page
        assert '<noscript><meta http-equiv="refresh"' in page
        assert "0 of 2 orders queued again" in page
        await run_jobs(world)
        page = (await client.get(job)).text
        assert "Done: 2 of 2 orders queued again." in page
        assert "hx-trigger" not in page
        with capture_logs() as logs:
            await client.post(f"{job}/stop")
        assert logs == [], "there is nothing to stop any more"
        assert "No worker is running" in page
        await world.keep(replace(failed(251), status=Status.UPDATED, reason=None))
        found = (await client.get(f"{job}.json")).json()
        assert [(row["order_id"], row["status"]) for row in found["orders"]] == [(251, "updated"), (252, "queued")]
        assert (found["who"], found["state"], found["retried"], found["refused"]) == ("ana", "done", 2, 0)
        assert job in (await client.get("/failures")).text


async def test_clicks_at_once_of_two_people_start_one_job(world: ConsoleWorld) -> None:
    await world.keep(*(failed(number) for number in range(300, 310)))
    async with (
        world.person(Role.OPERATOR, who="ana") as ana,
        world.person(Role.ADMIN, who="ben") as ben,
    ):
        form = await seen(ana)
        with capture_logs() as logs:
            places = await asyncio.gather(*(press_retry(client, form) for client in (ana, ben, ana, ben)))
        assert len({place.partition("?")[0] for place in places}) == 1
        assert sum(place.endswith("?done=already") for place in places) == 3
        assert len(logs) == 1
        page = (await ben.get(next(place for place in places if "already" in place))).text
        assert "nothing was done twice" in page


async def test_a_tab_that_was_left_open_retries_nothing_again(world: ConsoleWorld) -> None:
    await world.keep(failed(251))
    async with world.person(Role.OPERATOR) as client:
        first, second = await seen(client), await seen(client)
        job = await press_retry(client, first)
        await run_jobs(world)
        await world.keep(failed(251), age_s=0)  # it fails again
        assert await press_retry(client, second) == f"{job}?done=already"
        assert (await world.entry(251)).status is Status.FAILED
        assert len(await RetryJobs(world.redis).recent("abc123", 5)) == 1
        # Who opens the page anew sees that it failed again, and may retry it.
        assert await press_retry(client, await seen(client)) != job


async def test_an_order_that_was_retried_meanwhile_is_refused_with_a_reason(world: ConsoleWorld) -> None:
    await world.keep(failed(251), failed(252))
    async with world.person(Role.OPERATOR) as client:
        job = await press_retry(client, await seen(client))
        await Queue(world.redis).retry("abc123", 251)
        await run_jobs(world)
        page = (await client.get(job)).text
        assert "Done: 1 of 2 orders queued again, 1 refused." in page
        assert "in progress already, not queued again" in page


async def test_a_job_is_stopped_and_says_by_whom(world: ConsoleWorld) -> None:
    await world.keep(failed(251), failed(252))
    async with world.person(Role.OPERATOR, who="ben") as client:
        job = await press_retry(client, await seen(client))
        with capture_logs() as logs:
            for _ in range(2):
                assert (await client.post(f"{job}/stop")).headers["location"] == job
        assert [(line["action"], line["who"], line["orders"]) for line in logs] == [("stop_retry", "ben", [251, 252])]
        await run_jobs(world)
        assert "Stopped by ben: 0 of 2 orders queued again. The rest is as it was." in (await client.get(job)).text
        with capture_logs() as logs:
            await client.post(f"{job}/stop")
        assert logs == []


@pytest.mark.parametrize("form", [{}, {"seen": ""}, {"seen": "now"}, {"seen": "9" * 40}, {"seen": "\u0661" * 13}])
async def test_garbage_in_the_form_retries_nothing_and_says_what_to_do(
    world: ConsoleWorld, form: dict[str, str]
) -> None:
    await world.keep(failed(251))
    async with world.person(Role.OPERATOR) as client:
        answer = await client.post(f"{GROUP}/retry", data=form)
        assert (answer.status_code, "Open the group again" in answer.text) == (400, True)
    assert await RetryJobs(world.redis).running() == []


async def test_a_group_is_muted_for_a_while_and_shown_folded(world: ConsoleWorld) -> None:
    await world.keep(failed(251), failed(252, reason="not_persisted"))
    async with world.person(Role.OPERATOR, who="ana") as client:
        with capture_logs() as logs:
            assert (await client.post(f"{GROUP}/mute", data={"for": "8h"})).status_code == 303
        assert [(line["action"], line["orders"]) for line in logs] == [("mute_failures", [251])]
        page = (await client.get("/failures?done=muted")).text
        assert "1 order needs somebody, in 1 group." in page
        unfolded, folded = page.split("<details")
        assert GROUP not in unfolded
        assert GROUP in folded
        assert "muted by <bdi>ana</bdi> until" in folded
        overview = (await client.get("/.json")).json()["stores"][0]
        assert (overview["failed"], overview["failed_muted"], overview["findings"]) == (2, 1, ["1 order failed"])
        assert "· 1 muted" in (await client.get("/")).text
        muted = [group["muted"] for group in (await client.get("/failures.json")).json()]
        assert sorted(mute["by"] for mute in muted if mute) == ["ana"]
        assert (await client.post(f"{GROUP}/unmute")).status_code == 303
        assert "<details" not in (await client.get("/failures")).text
        for form in ({}, {"for": "1y"}, {"for": "-1"}):
            answer = await client.post(f"{GROUP}/mute", data=form)
            assert (answer.status_code, "choose one of 1h, 8h, 1d, 7d" in answer.text) == (400, True)


async def test_a_group_that_is_gone_says_so(world: ConsoleWorld) -> None:
    async with world.person(Role.OPERATOR) as client:
        answer = await client.get(GROUP)
        assert (answer.status_code, "No order of this group" in answer.text) == (404, True)
        assert (await client.get("/failures/abc123/not-an-id")).status_code == 404
        assert (await client.get(f"/failures/abc123/retries/{'0' * 16}")).status_code == 404
        assert (await press_retry(client, {"seen": "1790000000000"})) == "/failures?done=nothing_left"
        assert "none of them is left" in (await client.get("/failures?done=nothing_left")).text


async def test_a_viewer_sees_failures_and_can_press_nothing(world: ConsoleWorld) -> None:
    await world.keep(failed(251))
    async with world.person(Role.OPERATOR) as client:
        job = await press_retry(client, await seen(client))
    async with world.person(Role.VIEWER) as client:
        for path in ("/failures", GROUP, job):
            page = (await client.get(path)).text
            assert page.count("<form") == (2 if path == "/failures" else 1), path  # to sign out, to choose a store
            assert "<button" not in page.replace("Sign out", "").split("<main")[1].replace("<button>Show", ""), path


async def test_text_of_shoppers_is_text_on_the_pages_of_failures(world: ConsoleWorld) -> None:
    entry = Entry("abc123", 251, status=Status.FAILED, reason=NASTY, po_number=NASTY)
    await world.keep(entry)
    group = f"/failures/abc123/{group_id(entry)}"
    async with world.person(Role.ADMIN, who=NASTY[:60]) as client:
        job = await press_retry(client, await seen(client, group), group)
        for path in ("/failures", group, job):
            answer = await client.get(path)
            assert answer.status_code == 200, path
            assert "<script>alert" not in answer.text, path
            assert "&lt;script&gt;" in answer.text, path
            assert len(answer.text) < 30_000, path


async def test_each_attempt_of_an_order_is_shown_on_its_page(world: ConsoleWorld) -> None:
    history = [AttemptNote(1, 1768078801.0, 412, 4, f"failed: {NASTY[:100]}"), AttemptNote(0, 1768078803.0, 0, 1, "ok")]
    await world.keep(replace(failed(251), history=history))
    async with world.person() as client:
        page = (await client.get("/orders/abc123/251")).text
        found = (await client.get("/orders/abc123/251.json")).json()["history"]
    assert re.search(r'<th scope="row"[^>]*>1</th>.*2026-01-10 21:00:01.*412 ms.*>4<.*failed: &lt;script&gt;', page)
    assert re.search(r'<th scope="row"[^>]*>verification</th>', page)
    assert found[0] == history[0]._asdict() | {"at": "2026-01-10T21:00:01.000Z"}


def test_a_cure_shows_commands_as_code_and_escapes_the_rest() -> None:
    assert as_code("Run `enrich <x>` & retry.") == "Run <code>enrich &lt;x&gt;</code> &amp; retry."


async def test_a_large_group_is_listed_in_part_and_that_is_said(
    world: ConsoleWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("failures", "retries"):
        monkeypatch.setattr(f"service.console.pages.{module}.SHOWN_MAX", 2)
    monkeypatch.setattr("service.orders.failures.failure_groups.READ_MAX", 3)
    for number in range(300, 304):
        await world.keep(failed(number), age_s=1000 - number)
    async with world.person(Role.OPERATOR) as client:
        assert "newest 2,000 orders of Great Buys are counted" in (await client.get("/failures")).text
        page = (await client.get(GROUP)).text
        assert (page.count('href="/orders/abc123/'), "The newest 2 of 3." in page) == (2, True)
        job = await press_retry(client, await seen(client))
        page = (await client.get(job)).text
        assert (page.count('href="/orders/abc123/'), "The first 2 of 3." in page) == (2, True)
        assert [row["order_id"] for row in (await client.get(f"{job}.json")).json()["orders"]] == [301, 302, 303]


async def test_the_pages_of_failures_are_small(world: ConsoleWorld) -> None:
    await world.keep(*(failed(number) for number in range(1000, 1060)))
    async with world.person(Role.OPERATOR) as client:
        for path in ("/failures", GROUP, await press_retry(client, await seen(client))):
            answer = await client.get(path, headers={"accept-encoding": "gzip"})
            assert int(answer.headers["content-length"]) < 15_000, path
