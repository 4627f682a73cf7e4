"""What the receiver opens, runs and closes beside its answers."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
from pydantic import SecretStr

from service.hooks import WEBHOOK_PATH
from service.web.app import create_app
from service.web.authentication import StoreBook
from tests.fakes.webhooks import FakeQueue, a_body, a_store, client_of, signed

BODY = a_body()


def posting(client: httpx.AsyncClient, secret: str) -> Callable[[], Awaitable[int]]:
    async def post() -> int:
        return (await client.post(WEBHOOK_PATH, content=BODY, headers=signed(BODY, secret))).status_code

    return post


async def test_a_book_that_is_kept_up_decides_from_the_next_webhook_on_and_until_the_end() -> None:
    book, rotate, ended = (
        StoreBook({"abc123": a_store(client_secret=SecretStr("old"))}),
        asyncio.Event(),
        asyncio.Event(),
    )

    async def keep_up() -> None:
        try:
            await rotate.wait()
            book.replace({"abc123": a_store(client_secret=SecretStr("new"))})
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with client_of(create_app(book, FakeQueue().opened, keep_up=keep_up)) as client:
        old, new = posting(client, "old"), posting(client, "new")
        assert (await old(), await new()) == (200, 401)
        rotate.set()
        await asyncio.sleep(0)
        assert (await old(), await new()) == (401, 200)
    async with asyncio.timeout(5):
        await ended.wait()
