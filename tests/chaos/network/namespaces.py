"""Hosts that are network namespaces of Linux, on one switch, whose cables can be pulled.

Nothing of it shows in the machine's own network, and nothing can leave: no namespace has a route to the outside. The
test enters the namespace with the switch for as long as it runs, so it reaches every host by its address.
"""

import asyncio
import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

SUBNET = "10.88.0"
"""The same in each run: the namespaces of another run are not on this switch."""
SWITCH_ADDRESS = f"{SUBNET}.1"

_PREFIX = "enrich-chaos"
_NAMESPACES = Path("/run/netns")
_CLONE_NEWNET = 0x4000_0000
_IP = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def why_not() -> str | None:
    """Why this machine cannot have such hosts; None where it can."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "network namespaces need root: run make chaos with sudo, or in a container with CAP_SYS_ADMIN"
    if _IP is None:
        return "network namespaces need the command ip (package iproute2)"
    name = f"{_PREFIX}-{os.getpid()}-try"
    try:
        _ip("netns", "add", name)
        _ip("-netns", name, "link", "add", "br0", "type", "bridge")
    except RuntimeError as error:
        return f"this machine allows no network namespaces with a bridge: {error}"
    finally:
        with suppress(RuntimeError):
            _ip("netns", "delete", name)
    return None


def _ip(*words: str) -> None:
    done = subprocess.run([_IP or "ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")


@contextmanager
def _inside(namespace: str) -> Iterator[None]:
    """Let this thread open its sockets in a namespace. A socket stays in the namespace that it was opened in."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _set_namespace(_NAMESPACES / namespace)
        try:
            yield
        finally:
            _enter(before)
    finally:
        os.close(before)


def _set_namespace(path: Path) -> None:
    target = os.open(path, os.O_RDONLY)
    try:
        _enter(target)
    finally:
        os.close(target)


def _enter(target: int) -> None:
    # os.setns exists from Python 3.12 on.
    if ctypes.CDLL(None, use_errno=True).setns(target, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


@dataclass(frozen=True, slots=True)
class Host:
    """A machine on the switch. ``port`` is the switch's end of its cable."""

    name: str
    namespace: str
    address: str
    port: str
    switch: str

    def command(self, *words: str) -> list[str]:
        """The command line that runs a program on this host."""
        return [_IP or "ip", "netns", "exec", self.namespace, *words]

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Sockets that are opened meanwhile are this host's. There must be no ``await`` meanwhile."""
        with _inside(self.namespace):
            yield

    async def call(self, function: Callable[[], T]) -> T:
        """Call a blocking function as if it ran on this host."""

        def run() -> T:
            with self.inside():
                return function()

        return await asyncio.to_thread(run)

    def pull_cable(self) -> None:
        """Cut the host off from everything. Connections stay open, and nothing tells either end."""
        _ip("-netns", self.switch, "link", "set", self.port, "down")

    def plug_in(self) -> None:
        _ip("-netns", self.switch, "link", "set", self.port, "up")


def cut_between(one: Host, others: Sequence[Host]) -> None:
    """Drop all packets between a host and the others, without a word. Everything else goes on."""
    for here, there in _pairs(one, others):
        _ip("-netns", here.namespace, "rule", "add", "pref", "50", "from", there.address, "blackhole")


def heal_between(one: Host, others: Sequence[Host]) -> None:
    for here, there in _pairs(one, others):
        _ip("-netns", here.namespace, "rule", "delete", "pref", "50", "from", there.address)


def _pairs(one: Host, others: Sequence[Host]) -> list[tuple[Host, Host]]:
    return [pair for other in others for pair in ((one, other), (other, one))]


@asynccontextmanager
async def hosts(*names: str) -> AsyncIterator[list[Host]]:
    """So many hosts; the test is on their switch. At the end all of it is gone, with what still runs there."""
    _remove_leftovers()
    run = f"{_PREFIX}-{os.getpid()}"
    switch = f"{run}-switch"
    try:
        _add_namespace(switch)
        _ip("-netns", switch, "link", "add", "br0", "type", "bridge")
        _ip("-netns", switch, "address", "add", f"{SWITCH_ADDRESS}/24", "dev", "br0")
        _ip("-netns", switch, "link", "set", "br0", "up")
        made = [_add_host(run, switch, name, number) for number, name in enumerate(names, 11)]
        with _inside(switch):
            yield made
    finally:
        _remove(run)


def _add_namespace(name: str) -> None:
    _ip("netns", "add", name)
    _ip("-netns", name, "link", "set", "lo", "up")


def _add_host(run: str, switch: str, name: str, number: int) -> Host:
    host = Host(name, f"{run}-{name}", f"{SUBNET}.{number}", f"port{number}", switch)
    _add_namespace(host.namespace)
    cable = ("type", "veth", "peer", "name", "eth0", "netns", host.namespace)
    _ip("-netns", switch, "link", "add", host.port, *cable)
    _ip("-netns", switch, "link", "set", host.port, "master", "br0", "up")
    _ip("-netns", host.namespace, "address", "add", f"{host.address}/24", "dev", "eth0")
    _ip("-netns", host.namespace, "link", "set", "eth0", "up")
    # The rule for the host's own addresses comes first; those of ``cut_between`` have to come before it.
    _ip("-netns", host.namespace, "rule", "add", "pref", "100", "lookup", "local")
    _ip("-netns", host.namespace, "rule", "delete", "pref", "0")
    return host


def _remove_leftovers() -> None:
    """Remove what a killed run has left: its name has the process that made it."""
    for path in _NAMESPACES.glob(f"{_PREFIX}-*"):
        run, _, _ = path.name.rpartition("-")
        if not Path("/proc", run.rpartition("-")[2]).exists():
            _remove(run)


def _remove(run: str) -> None:
    """Delete the namespaces of a run, and kill what still runs in them."""
    for path in _NAMESPACES.glob(f"{run}-*"):
        listed = subprocess.run(
            [_IP or "ip", "netns", "pids", path.name], capture_output=True, text=True, check=False
        ).stdout
        for pid in {int(word) for word in listed.split()} - {os.getpid()}:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with suppress(RuntimeError):
            _ip("netns", "delete", path.name)
