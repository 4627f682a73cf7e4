"""Sandboxes for tests: a real server on a free loopback port, or an application called without a network.

Both run in the test's event loop, from enter to exit.
"""

import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import SecretStr
from starlette.applications import Starlette

from service.sandbox.app import create_app, running
from service.sandbox.demo import DEMO_STORE_HASH
from service.sandbox.options import Options
from service.sandbox.specs import SANDBOX_ACCESS_TOKEN


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """``url`` of both APIs; ``control`` for the control API (paths as under ``/sandbox``), which the methods call;
    ``api`` for both APIs with the demo store's credentials.
    """

    url: str
    control: httpx.AsyncClient
    api: httpx.AsyncClient

    async def put_store(self, store: str = DEMO_STORE_HASH, **spec: Any) -> dict[str, Any]:
        return await self._call("PUT", f"/stores/{store}", spec)

    async def delete_store(self, store: str = DEMO_STORE_HASH) -> None:
        await self._call("DELETE", f"/stores/{store}")

    async def place_order(self, store: str = DEMO_STORE_HASH, **fields: Any) -> dict[str, Any]:
        """Returns ``id`` and ``created_at``."""
        return await self._call("POST", f"/stores/{store}/orders", fields)

    async def order(self, order_id: int, store: str = DEMO_STORE_HASH) -> dict[str, Any]:
        return await self._call("GET", f"/stores/{store}/orders/{order_id}")

    async def set_status(self, order_id: int, status_id: int, store: str = DEMO_STORE_HASH) -> None:
        await self._call("PUT", f"/stores/{store}/orders/{order_id}/status", {"status_id": status_id})

    async def edit_order(self, order_id: int, store: str = DEMO_STORE_HASH, **fields: Any) -> dict[str, Any]:
        """Change fields of an order, as staff do."""
        return await self._call("PUT", f"/stores/{store}/orders/{order_id}", fields)

    async def write_metafields(
        self,
        order_id: int,
        metafields: dict[str, dict[str, str | None]],
        store: str = DEMO_STORE_HASH,
        *,
        drop_webhook: bool = False,
    ) -> dict[str, Any]:
        """Write metafields of an order, as an app does; None deletes one."""
        body = {"metafields": metafields, "drop_webhook": drop_webhook}
        return await self._call("PUT", f"/stores/{store}/orders/{order_id}/metafields", body)

    async def put_user(
        self, customer_id: int, company_id: int, store: str = DEMO_STORE_HASH, **fields: Any
    ) -> dict[str, Any]:
        """Make a customer a Company user, or change one."""
        return await self._call("PUT", f"/stores/{store}/users/{customer_id}", {"company_id": company_id, **fields})

    async def issue_token(self, customer_id: int, store: str = DEMO_STORE_HASH) -> SecretStr:
        """A storefront token of this customer, as if it was fetched long ago."""
        return SecretStr((await self._call("POST", f"/stores/{store}/users/{customer_id}/token"))["token"])

    async def set_company_status(
        self, company_id: int, status: int, store: str = DEMO_STORE_HASH, **fields: Any
    ) -> dict[str, Any]:
        body = {"status": status, **fields}
        return await self._call("PUT", f"/stores/{store}/companies/{company_id}/status", body)

    async def write_record(self, order_id: int, store: str = DEMO_STORE_HASH, **values: Any) -> dict[str, Any]:
        return await self._call("PUT", f"/stores/{store}/orders/{order_id}/record", values)

    async def switch_hooks(self, store: str = DEMO_STORE_HASH, *, on: bool) -> None:
        """Switch all webhooks of the store on or off."""
        await self._call("PUT", f"/stores/{store}/hooks", {"is_active": on})

    async def calls(self, store: str = DEMO_STORE_HASH) -> dict[str, Any]:
        return await self._call("GET", f"/stores/{store}/calls")

    async def faults(self, **faults: Any) -> dict[str, Any]:
        """Activate these faults and no others; without arguments, none."""
        return await self._call("PUT", "/faults", faults)

    async def _call(self, method: str, path: str, json: Any = None) -> dict[str, Any]:
        response = await self.control.request(method, path, json=json)
        if response.is_error:
            raise AssertionError(f"{method} {path}: {response.status_code} {response.text}")
        answer: dict[str, Any] = response.json() if response.content else {}
        return answer


@dataclass(slots=True)
class StillClock:
    """A fake clock that moves only by ``tick``. Starts in the middle of a second."""

    now: float = 1_768_078_800.5

    def __call__(self) -> float:
        return self.now

    def tick(self, seconds: float) -> None:
        self.now += seconds


def free_port(address: str = "127.0.0.1") -> socket.socket:
    """A socket bound to a free port, of the loopback if no other address is given."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, 0))
    return listener


@contextmanager
def kept_port() -> Iterator[int]:
    """A free loopback port for another process to listen on, reserved for it while it starts."""
    with free_port() as listener:
        port: int = listener.getsockname()[1]
        if sys.platform != "linux":  # elsewhere it would block that process, too
            listener.close()
        yield port


@asynccontextmanager
async def running_app(app: Starlette) -> AsyncIterator[str]:
    """Serve an app on a free loopback port; yields its URL."""
    with free_port() as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with running(app, listener):
            yield url


@asynccontextmanager
async def running_sandbox(**options: Any) -> AsyncIterator[RunningSandbox]:
    """A sandbox with these options (see ``service.sandbox.options.Options``) as a real server."""
    async with running_app(create_app(Options.model_validate(options))) as url, sandbox_at(url) as sandbox:
        yield sandbox


@asynccontextmanager
async def called_sandbox(clock: StillClock, **options: Any) -> AsyncIterator[RunningSandbox]:
    """A sandbox on that clock, called without a network. Only its webhooks use one."""
    app = create_app(Options.model_validate(options), clock)
    async with (
        app.router.lifespan_context(app),
        sandbox_at("http://sandbox.test", httpx.ASGITransport(app)) as sandbox,
    ):
        yield sandbox


@asynccontextmanager
async def sandbox_at(url: str, transport: httpx.AsyncBaseTransport | None = None) -> AsyncIterator[RunningSandbox]:
    """The sandbox that listens at ``url``."""
    credentials = {"X-Auth-Token": SANDBOX_ACCESS_TOKEN, "X-Store-Hash": DEMO_STORE_HASH}
    async with (
        httpx.AsyncClient(base_url=f"{url}/sandbox", transport=transport, timeout=30, trust_env=False) as control,
        httpx.AsyncClient(base_url=url, transport=transport, headers=credentials, timeout=30, trust_env=False) as api,
    ):
        yield RunningSandbox(url, control, api)
