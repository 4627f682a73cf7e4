"""The stores file while the program runs: what is taken up, when, and what is said."""

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


class Watched:
    """A stores file with one store, and what watches it."""

    def __init__(self, folder: Path, text: str = store("one")) -> None:
        self.folder, self.path = folder, folder / "stores.toml"
        self.write(text)
        self.live = LiveConfiguration(self.path, {"SECRET": "s"})

    def write(self, text: str, name: str = "stores.toml") -> Path:
        """As most programs do it: into the file that is there."""
        path = self.folder / name
        path.write_text(text)
        # The system's clock for files may tick only every few milliseconds: less often than this writes.
        os.utime(path, ns=(time.time_ns(), time.time_ns()))
        return path

    def look(self, times: int = 1) -> tuple[list[Changes | None], Lines]:
        with capture_logs() as lines:
            return [self.live.look() for _ in range(times)], lines

    def secrets_of(self, store_hash: str) -> list[str]:
        return [secret.get_secret_value() for secret in self.live.current.stores[store_hash].store.client_secrets]

    @property
    def stores(self) -> list[str]:
        return list(self.live.current.stores)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_what_is_bad_from_the_start_is_raised(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        LiveConfiguration(tmp_path / "none.toml")


def test_nothing_is_read_and_nothing_said_while_nothing_changes(watched: Watched) -> None:
    before = watched.live.current
    assert watched.look(3) == ([None, None, None], [])
    assert watched.live.current is before


def test_a_change_is_taken_up_once_it_has_stood_still(watched: Watched) -> None:
    watched.write(store("one", "another") + store("two"))
    changes = Changes(added=["two"], removed=[], changed=["one"])
    assert watched.look() == ([None], [])
    assert watched.look() == ([changes], [reloaded(2, added=["two"], changed=["one"])])
    assert watched.look(2) == ([None, None], [])
    assert watched.secrets_of("one") == ["another"]

    watched.write(store("two"))
    assert watched.look(2) == ([None, Changes([], ["one"], [])], [reloaded(1, removed=["one"])])
    assert watched.stores == ["two"]


def test_a_file_that_is_still_being_written_is_left_alone_though_it_might_do(watched: Watched) -> None:
    whole = store("one") + store("two") + store("three")
    for end in range(len(store("one")), len(whole), 40):
        watched.write(whole[:end])
        assert watched.look() == ([None], [])
    assert watched.stores == ["one"]

    watched.write(whole)
    watched.look(2)
    assert watched.stores == ["one", "two", "three"]


def test_a_change_that_changes_no_store_is_told_too(watched: Watched) -> None:
    watched.write("# a remark" + store("one"))
    assert watched.look(2) == ([None, NOTHING], [reloaded(1)])


def test_a_bad_file_is_told_once_with_all_its_problems_and_changes_nothing(watched: Watched) -> None:
    before = watched.live.current
    watched.write(store("one").replace("order.", "ordr.") + store("TWO") + "[stores.three]\naccess_token = 'env:NO'")
    _, lines = watched.look(5)
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("stores_not_reloaded", "error")
    assert [problem.removeprefix(f"{watched.path}: ").partition(": ")[0] for problem in line["problems"]] == [
        "[stores.TWO]",
        "[stores.three] access_token",
        "[stores.three] client_secret",
        "[stores.three] po_number",
        "[stores.one.po_number] from",
    ]
    assert watched.live.current is before


def test_after_a_bad_file_comes_another_or_a_good_one(watched: Watched) -> None:
    for number in range(2):
        watched.write("[" * (number + 1))
        results, lines = watched.look(3)
        assert results == [None, None, None]
        assert [line["event"] for line in lines] == ["stores_not_reloaded"]

    watched.write(store("two"))
    assert watched.look(2)[0] == [None, Changes(["two"], ["one"], [])]


def test_a_file_that_is_gone_changes_nothing_until_it_is_back(watched: Watched) -> None:
    watched.path.unlink()
    _, lines = watched.look(3)
    assert len(lines) == 1
    assert "does not exist" in lines[0]["problems"][0]
    assert watched.stores == ["one"]

    watched.write(store("two"))
    watched.look(2)
    assert watched.stores == ["two"]


def test_what_is_asked_for_is_read_at_once_and_told_though_nothing_has_changed(watched: Watched) -> None:
    watched.live.ask()
    assert watched.look(2) == ([NOTHING, None], [reloaded(1)])

    watched.write(store("two"))
    watched.live.ask()
    assert watched.look(2)[0] == [Changes(["two"], ["one"], []), None]

    watched.write("[")
    for _ in range(2):
        watched.live.ask()
        assert [line["event"] for line in watched.look(3)[1]] == ["stores_not_reloaded"]
    assert watched.stores == ["two"]


def test_other_addresses_of_bigcommerce_take_a_restart(watched: Watched) -> None:
    watched.write('[bigcommerce]\napi_url = "http://127.0.0.1:1"\n' + store("two"))
    _, lines = watched.look(2)
    assert lines[0]["problems"] == [
        f"{watched.path}: [bigcommerce]: BigCommerce's addresses cannot change while the program runs. "
        "Restart it, or put back what stood there."
    ]
    assert watched.stores == ["one"]


class TestSecretsInFiles:
    def test_one_that_is_rotated_in_place(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("old")
        watched = Watched(tmp_path, store("one", "file:secret"))
        watched.write("new", "secret")
        assert watched.look(2) == ([None, Changes([], [], ["one"])], [reloaded(1, changed=["one"])])
        assert watched.secrets_of("one") == ["new"]

    def test_a_folder_that_kubernetes_turns(self, tmp_path: Path) -> None:
        """It keeps each generation in a folder of its own, and renames one symbolic link over another."""

        def mount(generation: str, **files: str) -> None:
            (tmp_path / generation).mkdir()
            for name, text in files.items():
                path = tmp_path / generation / name.replace("_", ".")
                path.write_text(text)
                os.utime(path, (1, 1))  # reproducible images have such times
            (tmp_path / "..data_tmp").symlink_to(generation)
            (tmp_path / "..data_tmp").rename(tmp_path / "..data")

        mount("..1", stores_toml=store("one", "file:secret"), secret="old")
        for name in ("stores.toml", "secret"):
            (tmp_path / name).symlink_to(f"..data/{name}")
        live = LiveConfiguration(tmp_path / "stores.toml")
        assert live.look() is None

        mount("..2", stores_toml=store("one", "file:secret"), secret="new")
        assert [live.look(), live.look()] == [None, Changes([], [], ["one"])]
        assert live.current.stores["one"].store.client_secrets[0].get_secret_value() == "new"

    def test_one_that_is_missing_is_waited_for(self, watched: Watched) -> None:
        watched.write(store("one", "file:secret"))
        _, lines = watched.look(4)
        assert [line["event"] for line in lines] == ["stores_not_reloaded"]

        watched.write("new", "secret")
        assert watched.look(2)[0] == [None, Changes([], [], ["one"])]

    def test_no_secret_is_told_whatever_is_wrong_with_it(self, watched: Watched) -> None:
        watched.write("s3cret\nvalue", "secret")
        watched.write(store("one").replace('"token"', '["file:secret", "s3cret value\\n2", "env:SECRET", 3]'))
        _, lines = watched.look(2)
        assert len(lines[0]["problems"]) == 3
        assert "s3cret" not in repr(lines)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - it happens in a thread
            await asyncio.sleep(0.001)


async def test_followers_are_told_of_each_change_and_what_they_cannot_do_is_logged(watched: Watched) -> None:
    taken: list[Changes] = []

    async def take(changes: Changes) -> None:
        taken.append(changes)
        raise ValueError("not this one")

    with capture_logs() as lines:
        following = asyncio.create_task(watched.live.follow(take, every_s=0.001))
        watched.live.ask()
        await until(lambda: len(taken) == 1)
        watched.write(store("two"))
        await until(lambda: len(taken) == 2)
        following.cancel()

    assert taken == [NOTHING, Changes(["two"], ["one"], [])]
    assert [line["event"] for line in lines] == ["stores_reloaded", "internal_error"] * 2


async def test_everything_else_goes_on_while_the_file_is_read(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on = threading.Event(), threading.Event()
    waited: list[bool] = []

    def slow_look() -> None:
        began.set()
        waited.append(go_on.wait(30))

    monkeypatch.setattr(watched.live, "look", slow_look)
    following = asyncio.create_task(watched.live.follow(lambda _: asyncio.sleep(0), every_s=0.0))
    await until(began.is_set)
    assert not waited, "it is being read still"
    go_on.set()
    await until(lambda: bool(waited))
    following.cancel()
    assert waited[0]
