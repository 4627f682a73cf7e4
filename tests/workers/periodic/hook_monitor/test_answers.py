"""Blocked domains, and answers that are incomplete."""

from typing import Any

import pytest

from service.bigcommerce.clients.core_api import Core
from service.errors import CredentialsRefused
from service.sandbox.demo import DEMO_STORE_HASH as STORE
from tests.fakes.webhooks import answering, refusing
from tests.workers.periodic.hook_monitor.conftest import CREATED, OURS, MonitoredStore, events


async def test_blocked_domain_is_logged_and_starts_polling(
    store: MonitoredStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.hook()
    await store.run()
    with monkeypatch.context() as patched:
        blocked = [{"destination": "hooks.example.com", "time_left": 170, "reasons": []}, {"destination": "x.test"}]
        patched.setattr(Core, "hooks_admin", answering({"blocked_domains": blocked}))
        pause, logs = await store.run(600.0)
        assert pause == 30.0
        assert logs == [
            {"event": "polling_started", "log_level": "warning", "store": STORE, "reason": "webhook blocked"},
            {"event": "hook_blocked", "log_level": "warning", "domain": "hooks.example.com", "seconds_left": 170},
        ]
        assert await store.run(30.0) == (30.0, [])
    ok = {"event": "hook_ok", "log_level": "info", "trouble": "blocked", "what": "hooks.example.com"}
    assert await store.run(30.0) == (600.0, [ok])


@pytest.mark.parametrize("written", ["https://hooks.example.com", "https://hooks.example.com/webhooks/bigcommerce"])
async def test_blocked_domain_may_be_given_as_a_url(
    store: MonitoredStore, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    await store.hook()
    monkeypatch.setattr(Core, "hooks_admin", answering({"blocked_domains": [{"destination": written}]}))
    _, logs = await store.run()
    assert events(logs) == [
        {"event": "hook_blocked", "log_level": "warning", "domain": "hooks.example.com", "seconds_left": None}
    ]


@pytest.mark.parametrize(
    "admin", [{}, {"blocked_domains": None}, {"blocked_domains": [None, {}, {"destination": "https://[x"}]}]
)
async def test_empty_answer_about_blocked_domains_is_no_problem(
    store: MonitoredStore, monkeypatch: pytest.MonkeyPatch, admin: dict[str, Any]
) -> None:
    await store.hook()
    monkeypatch.setattr(Core, "hooks_admin", answering(admin))
    assert await store.run() == (600.0, [])


async def test_token_without_access_to_blocked_domains_still_has_its_webhooks_monitored(
    store: MonitoredStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Core, "hooks_admin", refusing(CredentialsRefused("Get Admin Info", "no", status=403)))
    hook_id = await store.hook(is_active=False)
    await store.run()
    assert (await store.hooks())[hook_id]["is_active"] is True


async def test_webhooks_with_missing_keys_are_read(store: MonitoredStore, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = [{}, {"scope": CREATED}, {"scope": None, "destination": 5}, {"scope": CREATED, "destination": OURS}]
    monkeypatch.setattr(Core, "hooks", answering(odd))
    pause, logs = await store.run()
    assert pause == 600.0
    assert [line["event"] for line in logs] == ["hook_foreign"]
