"""The console that is measured: a process with a person who is signed in, and which of its pages are clicked."""

import re
from dataclasses import dataclass

import httpx

from service.console.people.access import Role
from service.console.people.sessions import Grant, Sessions
from service.redis.client import connect
from tests.bench.console.clicks import PageToClick
from tests.bench.console.ledger import FIRST_ID
from tests.bench.rig.processes import HOST, Rig, free_port_number, wait_until_up
from tests.fakes.deployment import Process

_SESSION_S = 3600


@dataclass(frozen=True, slots=True)
class Console:
    """The console, running. ``headers`` are those of an admin of all stores."""

    url: str
    process: Process
    headers: dict[str, str]


async def start_console(rig: Rig) -> Console:
    """Start the console beside the rig's other processes, and sign somebody in."""
    port = free_port_number()
    process = rig.start("console", "service.cli", "console", "--port", str(port))
    url = f"http://{HOST}:{port}"
    await wait_until_up(f"{url}/healthz", process, rig.client)
    async with connect(rig.redis_url) as redis:
        sessions = Sessions(redis)
        begun = await sessions.spend(await sessions.issue_code(Grant("bench", Role.ADMIN, None, _SESSION_S)))
    assert begun is not None
    return Console(url, process, {"cookie": f"enrich={begun[0]}"})


async def pages_of(console: Console, rig: Rig) -> list[PageToClick]:
    """The pages as people use them: the list and its orders most. Addresses come from the pages themselves."""
    async with httpx.AsyncClient(base_url=console.url, headers=console.headers, trust_env=False) as client:

        async def text(path: str) -> str:
            answer = await client.get(path)
            assert answer.status_code == 200, f"{path} answered {answer.status_code}"
            return answer.text

        older, path = [], "/orders"
        for _ in range(3):
            found = re.search(r'rel="next" href="([^"]*)"', await text(path))
            if found is None:
                break
            path = found[1].replace("&amp;", "&")
            older.append(path)
        groups = re.findall(r'href="(/failures/\w+/[0-9a-f]{16})"', await text("/failures"))
    stores = rig.stores
    orders = [f"/orders/{store}/{FIRST_ID + number}" for number, store in enumerate(stores)]
    filtered = [
        *(f"/orders?outcome={outcome}" for outcome in ("failed", "skipped", "updated")),
        *(f"/orders?store={store}&since=24h" for store in stores[:3]),
        "/orders?margin_below=8",
    ]
    searched = [f"/orders?po={FIRST_ID + number}" for number in (1, 10)]
    return [
        PageToClick("overview", [["/"]], weight=3),
        PageToClick("store", [[f"/stores/{store}"] for store in stores], weight=2),
        PageToClick("orders", [["/orders"], *([path] for path in older)], weight=4),
        PageToClick("orders, filtered", [[path] for path in filtered], weight=2),
        PageToClick("orders, a PO searched", [[path] for path in searched], weight=2),
        PageToClick("order", [[path] for path in orders], weight=4),
        PageToClick("failures", [["/failures"], *([path] for path in dict.fromkeys(groups))], weight=2),
        PageToClick("rules", [[f"/rules/{store}"] for store in stores[:3]]),
        PageToClick("buyer", [[f"/buyers/{store}/101"] for store in stores[:3]]),
    ]
