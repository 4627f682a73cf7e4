"""Hosts can be cut off from all others or from some, and a run leaves none behind."""

import os
import shutil
import socket
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.chaos.load_generator import until
from tests.chaos.network.namespaces import Host, cut_between, heal_between, hosts, why_not
from tests.chaos.network.redis_hosts import dial

pytestmark = pytest.mark.chaos

PORT = 7000
NAMESPACES = Path("/run/netns")


def leave_a_namespace() -> str:
    """The name of a namespace as a run leaves it that was killed."""
    with subprocess.Popen(["true"]) as gone:
        pass
    name = f"enrich-chaos-{gone.pid}-1"
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    subprocess.run([shutil.which("ip", path=path) or "ip", "netns", "add", name], check=True)
    return name


def namespaces() -> list[str]:
    return [path.name for path in NAMESPACES.iterdir()]


async def reaches(here: Host, there: Host) -> bool:
    try:
        (await dial(here, there.address, PORT, timeout_s=0.3)).close()
    except TimeoutError:
        return False
    return True


async def test_hosts_that_are_cut_off_reach_nobody_and_nothing_is_left() -> None:
    if reason := why_not():
        pytest.skip(reason)
    left = leave_a_namespace()
    async with hosts("1", "2", "3") as (one, two, three), AsyncExitStack() as exits:
        assert left not in namespaces()
        for host in (one, two, three):
            with host.inside():
                exits.enter_context(socket.create_server((host.address, PORT)))
        assert await reaches(one, two)

        cut_between(one, [two])
        assert not await reaches(one, two)
        assert not await reaches(two, one)
        assert await reaches(one, three)
        heal_between(one, [two])
        assert await reaches(one, two)

        two.pull_cable()
        assert not await reaches(one, two)
        assert not await reaches(two, three)
        two.plug_in()
        await until(lambda: reaches(one, two))
    assert not [name for name in namespaces() if name.startswith(f"enrich-chaos-{os.getpid()}-")]
