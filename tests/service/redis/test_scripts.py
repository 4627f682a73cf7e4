import importlib
import re
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import pytest
from arq import ArqRedis
from redis import Redis as SyncRedis
from redis import exceptions

import service
import workers
from service.orders.state.lua import enqueue_order
from service.redis.client import TRANSIENT_ERRORS, connect
from service.redis.errors import typed
from service.redis.scripts import Script
from tests.fakes.redis.failover import redis_on_tcp
from workers.lua import claim_jobs, finish_job, renew_leases

PACKAGES = (
    "service.bigcommerce.lua",
    "service.console.lua",
    "service.notify.lua",
    "service.orders.facts.lua",
    "service.orders.failures.lua",
    "service.orders.search.lua",
    "service.orders.state.lua",
    "service.redis.lua",
    "workers.lua",
)

KEY = "an entry"


def declared(package: str) -> list[Script[..., Any]]:
    return [value for value in vars(importlib.import_module(package)).values() if isinstance(value, Script)]


SCRIPTS = [pytest.param(script, package, id=script.name) for package in PACKAGES for script in declared(package)]


async def enqueue(redis: ArqRedis) -> object:
    return await enqueue_order(
        redis,
        entry=KEY,
        window_job="a job",
        recovery_job="another job",
        window_queue="a queue",
        recovery_queue="another queue",
        reconcile_queue="a third queue",
        index="an index",
        to_verify="to verify",
        parked="parked",
        webhook_seen="webhook seen",
        webhook_pace="webhook pace",
        awaiting_status="awaiting status",
        awaiting_value="awaiting value",
        held="held",
        now_ms=1,
        reported_ms=1,
        received_ago_ms=0,
        window_ms=10_000,
        window_id="window:abc:1",
        recovery_id="recover:abc:1",
        reconcile_id="reconcile:abc",
        reconcile_within_ms=60_000,
        window_body=b'{"et":',
        recovery_body=b'{"et":',
        order_id=1,
        trigger="webhook",
        fields={"source": '"webhook"'},
    )


# ── the declarations and the Lua texts ──────────────────────────────────────────────────────────────────────────


def header(package: str, name: str) -> dict[str, tuple[str, ...]]:
    """The names under KEYS and ARGV in the comment at the top of a Lua text."""
    names: dict[str, list[str]] = {"KEYS": [], "ARGV": []}
    section = ""
    for line in files(package).joinpath(f"{name}.lua").read_text().splitlines():
        found = re.match(r"-- (KEYS: |ARGV: |      )(\w+)", line)
        section = found[1].strip(": ") or section if found else section
        if found and section:
            names[section].append(found[2])
    return {section: tuple(found) for section, found in names.items()}


@pytest.mark.parametrize(("script", "package"), SCRIPTS)
def test_a_declaration_names_what_the_header_of_its_lua_text_names(script: Script[..., Any], package: str) -> None:
    assert header(package, script.name) == {"KEYS": script.keys, "ARGV": script.arguments}


@pytest.mark.parametrize(("script", "package"), SCRIPTS)
def test_a_lua_text_uses_every_name_and_no_positions(script: Script[..., Any], package: str) -> None:
    lines = files(package).joinpath(f"{script.name}.lua").read_text().splitlines()
    code = "\n".join(line.partition("--")[0] for line in lines)
    assert "KEYS" not in code
    assert "ARGV" not in code
    assert {*script.keys, *script.arguments} <= set(re.findall(r"\w+", code))


def test_every_lua_text_is_declared() -> None:
    folders = [Path(cast("str", module.__file__)).parent for module in (service, workers)]
    texts = {path.stem for folder in folders for path in folder.rglob("*.lua")}
    assert texts == {script.name for package in PACKAGES for script in declared(package)}


# ── running them ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_script_is_run_by_names(redis: ArqRedis) -> None:
    assert await enqueue(redis) == "queued"
    assert await redis.hget(KEY, "source") == b'"webhook"'  # type: ignore[misc]


async def test_a_script_is_loaded_once_and_then_takes_one_command(redis: ArqRedis) -> None:
    await redis.script_flush()
    await enqueue(redis)
    await redis.config_resetstat()

    assert await enqueue(redis) == "duplicate"
    commands = await redis.info("commandstats")
    assert commands["cmdstat_evalsha"]["calls"] == 1
    assert "cmdstat_script|load" not in commands
    assert "cmdstat_script" not in commands


async def test_a_user_that_may_not_use_evalsha_runs_scripts_by_their_text(tmp_path: Path) -> None:
    with redis_on_tcp(tmp_path) as port, SyncRedis(port=port) as admin:
        admin.execute_command("ACL", "SETUSER", "shop", "on", ">secret", "~*", "+@all", "-evalsha", "-script")
        async with connect(f"redis://shop:secret@127.0.0.1:{port}") as client:
            assert [await enqueue(client) for _ in range(3)] == ["queued", "duplicate", "duplicate"]
        calls = {name: stats["calls"] for name, stats in admin.info("commandstats").items()}
    assert calls["cmdstat_eval"] == 3


async def test_a_right_that_is_missing_inside_a_script_is_named(tmp_path: Path) -> None:
    with redis_on_tcp(tmp_path) as port, SyncRedis(port=port) as admin:
        admin.execute_command("ACL", "SETUSER", "shop", "on", ">secret", "~*", "+@all", "-hset")
        async with connect(f"redis://shop:secret@127.0.0.1:{port}") as client:
            with pytest.raises(exceptions.NoPermissionError):
                await enqueue(client)


@pytest.mark.parametrize(
    "text",
    [
        "The user executing the script can't run this command or subcommand",
        "ACL failure in script: User shop has no permissions to run the 'hset' command script: on @user_script:48.",
    ],
    ids=["Redis 6", "Redis 7 and Valkey"],
)
def test_each_server_s_words_for_a_right_missing_inside_a_script_are_known(text: str) -> None:
    assert isinstance(typed(exceptions.ResponseError(text)), exceptions.NoPermissionError)


async def test_a_missing_or_unknown_name_is_refused_before_redis_is_asked(redis: ArqRedis) -> None:
    with pytest.raises(TypeError, match="renew_leases takes queue, owner, lease_ms"):
        await renew_leases(redis, queue="a queue", owner="me", lease_ms=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="renew_leases takes"):
        await renew_leases(redis, queue="q", owner="me", lease_ms=1, lease_prefix="", due_ms_by_job={}, more=1)  # type: ignore[call-arg]


async def test_the_last_argument_has_any_length(redis: ArqRedis) -> None:
    async def renew(due_ms_by_job: dict[str, int]) -> tuple[str, ...]:
        return await renew_leases(
            redis, queue="a queue", owner="me", lease_ms=60_000, lease_prefix="lease:", due_ms_by_job=due_ms_by_job
        )

    await redis.zadd("a queue", {"one": 1, "two": 2})
    assert await renew({}) == ()
    assert await renew({"one": 1, "two": 3, "three": 3}) == ("two", "gone", "three", "gone")


async def test_thousands_of_job_ids_fit_into_the_last_argument(redis: ArqRedis) -> None:
    job_ids = [f"window:store{number:04}:1" for number in range(5000)]
    await redis.zadd("a queue", dict.fromkeys(job_ids, 1))
    claimed = await claim_jobs(
        redis,
        queue="a queue",
        now_ms=1,
        owner="me",
        lease_ms=60_000,
        limit=2,
        lease_prefix="lease:",
        job_prefix="job:",
        tries_prefix="tries:",
        store_limit=1,
        read_limit=5000,
        running=job_ids[2:],
    )
    assert claimed == ((("window:store0000:1", "1", "", 1), ("window:store0001:1", "1", "", 1)), ())


@pytest.mark.parametrize(("work_list", "is_kept"), [("a list", True), (None, False)])
async def test_an_optional_key_may_be_left_out(redis: ArqRedis, work_list: str | None, is_kept: bool) -> None:
    await redis.zadd("a list", {"an order": 2})
    await redis.zadd("a queue", {"a job": 1})
    done = await finish_job(
        redis,
        lease="lease",
        job="job",
        tries="tries",
        queue="a queue",
        work_list=work_list,
        now_ms=1,
        owner="me",
        job_id="a job",
        due_ms=1,
        is_done=True,
        delay_ms=None,
    )
    assert done == 1
    assert await redis.exists("a queue") == is_kept


# ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_redis_that_cannot_write_for_now_is_a_transient_error(redis: ArqRedis) -> None:
    await redis.config_set("min-replicas-to-write", 1)
    try:
        with pytest.raises(TRANSIENT_ERRORS):
            await enqueue(redis)
    finally:
        await redis.config_set("min-replicas-to-write", 0)


async def test_a_redis_that_is_full_is_a_transient_error(redis: ArqRedis) -> None:
    await redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(exceptions.OutOfMemoryError):
            await enqueue(redis)
    finally:
        await redis.config_set("maxmemory", 0)


async def test_a_key_of_the_wrong_type_is_no_transient_error(redis: ArqRedis) -> None:
    await redis.set(KEY, "not a hash")
    with pytest.raises(exceptions.ResponseError) as caught:
        await enqueue(redis)
    assert not isinstance(caught.value, TRANSIENT_ERRORS)
