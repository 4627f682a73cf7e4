"""Reloading the stores file at run time: what is loaded, when, and what is logged."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.configuration.reloading import Changes, LiveConfiguration
from service.errors import ConfigError

STORE = """
[stores.{store}]
access_token = "token"
client_secret = "{secret}"
po_number = "order.customer_message"
"""
NOTHING = Changes([], [], [])

Lines = list[MutableMapping[str, Any]]


def store(store_hash: str, secret: str = "secret") -> str:
    return STORE.format(store=store_hash, secret=secret)


def reloaded(stores: int, **changes: list[str]) -> dict[str, Any]:
    none: dict[str, list[str]] = {"added": [], "removed": [], "changed": []}
    return {"event": "stores_reloaded", "log_level": "info", "stores": stores, **none, **changes}


class ReloadStack:
    """A stores file with one store, and its live configuration."""

    def __init__(self, folder: Path, text: str = store("one")) -> None:
        self.folder, self.path = folder, folder / "stores.toml"
        self.write(text)
        self.live = LiveConfiguration(self.path, {"SECRET": "s"})

    def write(self, text: str, name: str = "stores.toml") -> Path:
        """Write into the existing file, as most programs do."""
        path = self.folder / name
        path.write_text(text)
        # The file system's clock may tick only every few milliseconds, less often than this writes.
        os.utime(path, ns=(time.time_ns(), time.time_ns()))
        return path

    def poll(self, times: int = 1) -> tuple[list[Changes | None], Lines]:
        with capture_logs() as lines:
            return [self.live.poll() for _ in range(times)], lines

    def secrets_of(self, store_hash: str) -> list[str]:
        return [secret.get_secret_value() for secret in self.live.current.stores[store_hash].store.client_secrets]

    @property
    def stores(self) -> list[str]:
        return list(self.live.current.stores)


@pytest.fixture
def stack(tmp_path: Path) -> ReloadStack:
    return ReloadStack(tmp_path)


def test_a_bad_file_at_the_start_is_raised(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        LiveConfiguration(tmp_path / "none.toml")


def test_nothing_is_read_or_logged_while_nothing_changes(stack: ReloadStack) -> None:
    before = stack.live.current
    assert stack.poll(3) == ([None, None, None], [])
    assert stack.live.current is before


def test_a_change_is_loaded_when_two_polls_see_the_same_state(stack: ReloadStack) -> None:
    stack.write(store("one", "another") + store("two"))
    changes = Changes(added=["two"], removed=[], changed=["one"])
    assert stack.poll() == ([None], [])
    assert stack.poll() == ([changes], [reloaded(2, added=["two"], changed=["one"])])
    assert stack.poll(2) == ([None, None], [])
    assert stack.secrets_of("one") == ["another"]

    stack.write(store("two"))
    assert stack.poll(2) == ([None, Changes([], ["one"], [])], [reloaded(1, removed=["one"])])
    assert stack.stores == ["two"]


def test_a_valid_file_that_is_still_being_written_is_not_loaded(stack: ReloadStack) -> None:
    whole = store("one") + store("two") + store("three")
    for end in range(len(store("one")), len(whole), 40):
        stack.write(whole[:end])
        assert stack.poll() == ([None], [])
    assert stack.stores == ["one"]

    stack.write(whole)
    stack.poll(2)
    assert stack.stores == ["one", "two", "three"]


def test_a_change_that_affects_no_store_is_reported_too(stack: ReloadStack) -> None:
    stack.write("# a remark" + store("one"))
    assert stack.poll(2) == ([None, NOTHING], [reloaded(1)])


def test_a_bad_file_is_logged_once_with_all_its_problems_and_changes_nothing(stack: ReloadStack) -> None:
    before = stack.live.current
    stack.write(store("one").replace("order.", "ordr.") + store("TWO") + "[stores.three]\naccess_token = 'env:NO'")
    _, lines = stack.poll(5)
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("stores_not_reloaded", "error")
    assert [problem.removeprefix(f"{stack.path}: ").partition(": ")[0] for problem in line["problems"]] == [
        "[stores.TWO]",
        "[stores.three] access_token",
        "[stores.three] client_secret",
        "[stores.three] po_number",
        "[stores.one.po_number] from",
    ]
    assert stack.live.current is before


def test_a_bad_file_may_be_followed_by_another_or_by_a_good_one(stack: ReloadStack) -> None:
    for number in range(2):
        stack.write("[" * (number + 1))
        results, lines = stack.poll(3)
        assert results == [None, None, None]
        assert [line["event"] for line in lines] == ["stores_not_reloaded"]

    stack.write(store("two"))
    assert stack.poll(2)[0] == [None, Changes(["two"], ["one"], [])]


def test_a_deleted_file_changes_nothing_until_it_is_back(stack: ReloadStack) -> None:
    stack.path.unlink()
    _, lines = stack.poll(3)
    assert len(lines) == 1
    assert "does not exist" in lines[0]["problems"][0]
    assert stack.stores == ["one"]

    stack.write(store("two"))
    stack.poll(2)
    assert stack.stores == ["two"]


def test_a_requested_reload_is_immediate_and_logged_even_if_nothing_has_changed(stack: ReloadStack) -> None:
    stack.live.request_reload()
    assert stack.poll(2) == ([NOTHING, None], [reloaded(1)])

    stack.write(store("two"))
    stack.live.request_reload()
    assert stack.poll(2)[0] == [Changes(["two"], ["one"], []), None]

    stack.write("[")
    for _ in range(2):
        stack.live.request_reload()
        assert [line["event"] for line in stack.poll(3)[1]] == ["stores_not_reloaded"]
    assert stack.stores == ["two"]


def test_other_addresses_of_bigcommerce_need_a_restart(stack: ReloadStack) -> None:
    stack.write('[bigcommerce]\napi_url = "http://127.0.0.1:1"\n' + store("two"))
    _, lines = stack.poll(2)
    assert lines[0]["problems"] == [
        f"{stack.path}: [bigcommerce]: BigCommerce's addresses cannot change while the program runs. "
        "Restart the program, or restore the old addresses."
    ]
    assert stack.stores == ["one"]


class TestSecretsInFiles:
    def test_a_secret_rotated_in_place_is_reloaded(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("old")
        stack = ReloadStack(tmp_path, store("one", "file:secret"))
        stack.write("new", "secret")
        assert stack.poll(2) == ([None, Changes([], [], ["one"])], [reloaded(1, changed=["one"])])
        assert stack.secrets_of("one") == ["new"]

    def test_a_folder_replaced_by_kubernetes_is_reloaded(self, tmp_path: Path) -> None:
        """Kubernetes keeps each generation in its own folder, and renames one symbolic link over another."""

        def mount(generation: str, **files: str) -> None:
            (tmp_path / generation).mkdir()
            for name, text in files.items():
                path = tmp_path / generation / name.replace("_", ".")
                path.write_text(text)
                os.utime(path, (1, 1))  # as in reproducible images
            (tmp_path / "..data_tmp").symlink_to(generation)
            (tmp_path / "..data_tmp").rename(tmp_path / "..data")

        mount("..1", stores_toml=store("one", "file:secret"), secret="old")
        for name in ("stores.toml", "secret"):
            (tmp_path / name).symlink_to(f"..data/{name}")
        live = LiveConfiguration(tmp_path / "stores.toml")
        assert live.poll() is None

        mount("..2", stores_toml=store("one", "file:secret"), secret="new")
        assert [live.poll(), live.poll()] == [None, Changes([], [], ["one"])]
        assert live.current.stores["one"].store.client_secrets[0].get_secret_value() == "new"

    def test_a_missing_secret_is_loaded_when_it_appears(self, stack: ReloadStack) -> None:
        stack.write(store("one", "file:secret"))
        _, lines = stack.poll(4)
        assert [line["event"] for line in lines] == ["stores_not_reloaded"]

        stack.write("new", "secret")
        assert stack.poll(2)[0] == [None, Changes([], [], ["one"])]

    def test_no_problem_of_a_secret_shows_its_value(self, stack: ReloadStack) -> None:
        stack.write("s3cret\nvalue", "secret")
        stack.write(store("one").replace('"token"', '["file:secret", "s3cret value\\n2", "env:SECRET", 3]'))
        _, lines = stack.poll(2)
        assert len(lines[0]["problems"]) == 3
        assert "s3cret" not in repr(lines)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - a thread changes it
            await asyncio.sleep(0.001)


async def test_each_change_is_reported_and_errors_of_the_callback_are_logged(stack: ReloadStack) -> None:
    received: list[Changes] = []

    async def on_change(changes: Changes) -> None:
        received.append(changes)
        raise ValueError("cannot apply it")

    with capture_logs() as lines:
        following = asyncio.create_task(stack.live.watch_for_changes(on_change, every_s=0.001))
        stack.live.request_reload()
        await until(lambda: len(received) == 1)
        stack.write(store("two"))
        await until(lambda: len(received) == 2)
        following.cancel()

    assert received == [NOTHING, Changes(["two"], ["one"], [])]
    assert [line["event"] for line in lines] == ["stores_reloaded", "internal_error"] * 2


async def test_the_event_loop_is_not_blocked_while_the_file_is_read(
    stack: ReloadStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, release = threading.Event(), threading.Event()
    finished: list[bool] = []

    def slow_poll() -> None:
        started.set()
        finished.append(release.wait(30))

    monkeypatch.setattr(stack.live, "poll", slow_poll)
    following = asyncio.create_task(stack.live.watch_for_changes(lambda _: asyncio.sleep(0), every_s=0.0))
    await until(started.is_set)
    assert not finished, "the poll is still running"
    release.set()
    await until(lambda: bool(finished))
    following.cancel()
    assert finished[0]
