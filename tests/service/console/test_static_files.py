"""The files under /static: what is vendored is what was vendored."""

import hashlib
from pathlib import Path

import pytest

import service.console
from tests.fakes.console import ConsoleWorld

STATIC = Path(service.console.__file__).parent / "static"

# htmx.org 4.0.1, dist/htmx.min.js
HTMX_SHA256 = "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130"


def test_htmx_is_the_published_file_with_its_licence() -> None:
    assert hashlib.sha256((STATIC / "htmx.min.js").read_bytes()).hexdigest() == HTMX_SHA256
    assert "Zero-Clause BSD" in (STATIC / "htmx.LICENSE").read_text()


@pytest.mark.parametrize("name", ["console.css", "live.js", "icon.svg"])
def test_our_own_files_load_nothing_from_elsewhere(name: str) -> None:
    text = (STATIC / name).read_text().replace("http://www.w3.org/2000/svg", "")
    assert [word for word in ("http:", "https:", "url(", "@import", "eval(", "innerHTML") if word in text] == []


async def test_each_version_of_a_file_may_be_kept_for_ever_and_no_other(world: ConsoleWorld) -> None:
    async with world.visitor() as client:
        page = (await client.get("/sign-in")).text
        path = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
        assert "immutable" in (await client.get(path)).headers["cache-control"]
        for stale in ("/static/console.css", "/static/console.css?v=other"):
            assert (await client.get(stale)).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("name", ["no-such.css", "..%2fapp.py", "htmx.LICENSE", "__init__.py"])
async def test_there_are_no_other_files(world: ConsoleWorld, name: str) -> None:
    async with world.person() as client:
        assert (await client.get(f"/static/{name}")).status_code == 404


async def test_files_are_sent_compressed_to_those_who_can_read_that(world: ConsoleWorld) -> None:
    async with world.person() as client:
        small = await client.get("/static/htmx.min.js", headers={"accept-encoding": "gzip"})
        large = await client.get("/static/htmx.min.js", headers={"accept-encoding": "identity"})
    assert (small.headers["content-encoding"], "content-encoding" in large.headers) == ("gzip", False)
    assert {small.headers["vary"], large.headers["vary"]} == {"Accept-Encoding"}
    assert small.content == large.content == (STATIC / "htmx.min.js").read_bytes()
    assert int(small.headers["content-length"]) < int(large.headers["content-length"]) / 2
