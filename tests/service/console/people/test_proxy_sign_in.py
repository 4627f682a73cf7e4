"""Sign-in by a proxy: a name counts only with the proof, and only for those whom the stores file lists."""

from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from service.console.people.access import Role
from service.console.people.proxy_sign_in import PROOF_HEADER, SignInProxy
from service.errors import ConfigError
from service.settings import Settings
from tests.fakes.console import ConsoleWorld

SECRET = "p" * 40
NAME = "X-Forwarded-Email"
PROOF = (PROOF_HEADER, SECRET)


@pytest.fixture
def proxied(world: ConsoleWorld) -> ConsoleWorld:
    return ConsoleWorld(world.redis, world.folder, proxy=SignInProxy(NAME, SECRET))


async def get(world: ConsoleWorld, *headers: tuple[str, str], cookie: str = "") -> httpx.Response:
    async with world.visitor() as client:
        if cookie:
            client.cookies.set("enrich", cookie)
        return await client.get("/", headers=[(name.encode(), value.encode("latin-1")) for name, value in headers])


async def test_the_proxy_names_the_person(proxied: ConsoleWorld) -> None:
    answer = await get(proxied, (NAME, "ana@example.com"), PROOF)
    assert answer.status_code == 200
    assert "ana@example.com" in answer.text
    assert "Great Buys" in answer.text
    assert "Office Supplies" not in answer.text
    assert "Sign out" not in answer.text


async def test_case_does_not_matter_in_a_name(proxied: ConsoleWorld) -> None:
    answer = await get(proxied, (NAME.lower(), "ben@example.COM"), PROOF)
    assert answer.status_code == 200
    assert "Office Supplies" in answer.text


async def test_whoever_is_not_listed_is_refused(proxied: ConsoleWorld) -> None:
    answer = await get(proxied, (NAME, "eve@example.com"), PROOF)
    assert answer.status_code == 403
    assert "[console.people]" in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        [(NAME, "ana@example.com")],
        [(NAME, "ana@example.com"), (PROOF_HEADER, "wrong")],
        [(NAME, "ana@example.com"), (PROOF_HEADER, "")],
        [(NAME, "ana@example.com"), (PROOF_HEADER, SECRET[:-1])],
        [(NAME, "ana@example.com"), (PROOF_HEADER, "é" * 40)],
        [(NAME, "ana@example.com"), (NAME, "ben@example.com"), PROOF],
        [(NAME, "ana@example.com"), PROOF, PROOF],
        [(NAME, "ana@example.com"), PROOF, (PROOF_HEADER, "wrong")],
        [(NAME, "")],
    ],
    ids=range(9),
)
async def test_a_name_without_the_proof_is_refused_even_beside_a_good_cookie(
    proxied: ConsoleWorld, headers: list[tuple[str, str]]
) -> None:
    async with proxied.person(Role.ADMIN) as client:
        cookie = client.cookies["enrich"]
    assert (await get(proxied, cookie=cookie)).status_code == 200
    with capture_logs() as logs:
        answer = await get(proxied, *headers, cookie=cookie)
    assert answer.status_code == 401
    assert "Great Buys" not in answer.text
    assert [line["reason"] for line in logs] == ["proof"]
    assert SECRET not in answer.text + str(logs)


async def test_the_proof_alone_is_nobody(proxied: ConsoleWorld) -> None:
    assert (await get(proxied, PROOF)).status_code == 303


async def test_without_a_proxy_its_headers_mean_nothing(world: ConsoleWorld) -> None:
    assert (await get(world, (NAME, "ana@example.com"), PROOF)).status_code == 303


async def test_a_role_that_the_stores_file_takes_away_is_gone_at_once(proxied: ConsoleWorld) -> None:
    path = proxied.folder / "stores.toml"
    path.write_text(path.read_text().replace('"ana@example.com" =', '"somebody@example.com" ='))
    proxied.live.request_reload()
    proxied.live.poll()
    assert (await get(proxied, (NAME, "ana@example.com"), PROOF)).status_code == 403


def settings(monkeypatch: pytest.MonkeyPatch, header: str | None, secret: str | None) -> Settings:
    for name, value in (("ENRICH_CONSOLE_TRUST_HEADER", header), ("ENRICH_CONSOLE_TRUST_SECRET", secret)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    return Settings.load()


def problem(settings: Settings, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        SignInProxy.of(settings, environ or {})
    return str(caught.value)


def test_neither_of_both_means_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SignInProxy.of(settings(monkeypatch, None, None), {}) is None


def test_half_of_it_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problem(settings(monkeypatch, NAME, None)).startswith("ENRICH_CONSOLE_TRUST_SECRET: is not set, but")
    assert problem(settings(monkeypatch, None, SECRET)).startswith("ENRICH_CONSOLE_TRUST_HEADER: is not set, but")


def test_a_weak_secret_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    said = problem(settings(monkeypatch, NAME, "hunter2"))
    assert said.startswith("ENRICH_CONSOLE_TRUST_SECRET: is shorter than 32 characters.")
    assert "hunter2" not in said


def test_the_secret_may_be_kept_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    for written in ("env:PROXY_SECRET", f"file:{tmp_path}/secret"):
        proxy = SignInProxy.of(settings(monkeypatch, NAME, written), {"PROXY_SECRET": SECRET})
        assert proxy == SignInProxy(NAME, SECRET)
    assert "PROXY_SECRET is not set" in problem(settings(monkeypatch, NAME, "env:PROXY_SECRET"))
    assert "is shorter" in problem(settings(monkeypatch, NAME, "env:SHORT"), {"SHORT": "x"})


def test_the_secret_is_not_in_the_settings_text(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SECRET not in repr(settings(monkeypatch, NAME, SECRET))
