"""The embedded Redis of ``enrich up``: a real server for one machine, durable, on a Unix socket only.

A watchdog ends it once the ``enrich`` that started it, and the children of that, have died (``watchdog``). Until then,
or where the watchdog was killed, too, the next ``enrich`` on the same folder finds the server by the lock that it holds
as long as it lives, shuts it down cleanly, and starts its own server on the same data.
"""

import asyncio
import contextlib
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
from service.redis.embedded.lock_file import LockFile
from service.redis.embedded.log_file import LogFile
from service.redis.embedded.server_binary import find_server
from service.redis.embedded.watchdog import Watchdog

# The kernel's limit on a socket's path is 104 to 108 bytes.
_MAX_SOCKET_PATH_BYTES = 100

# A server that is loading its data answers with an error. One that does not answer at all for this long is stuck.
_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 10.0
_POLL_INTERVAL_S = 0.01

_OTHER_FOLDER = "Set ENRICH_DATA_DIR to another folder, or REDIS_URL to a Redis of yours."


_REPAIR = (
    "Run `enrich redis repair`: it keeps a copy and all that can be read. If it finds no damage, restore a backup,"
    " or set ENRICH_DATA_DIR to an empty folder and run `enrich backfill`."
)


class EmbeddedRedis:
    """A Redis server with its append-only file in ``data_dir``, as a context manager, async or not.

    ``url`` is its address. The same folder gives the same data again, also after a crash: at most the last second is
    lost, and only if the whole machine stops. Only one server at a time can use a folder.
    Raises ConfigError when no Redis is installed, the folder cannot be used, or the server does not start.
    """

    def __init__(self, data_dir: Path) -> None:
        self._dir = data_dir.absolute()
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: Watchdog | None = None
        self._resources = contextlib.ExitStack()
        self._server_lock: LockFile
        self._socket = self._dir / "redis.sock"
        self._log = LogFile(self._dir / "redis.log")

    @property
    def url(self) -> str:
        """The server's address; a restart keeps it."""
        return _url(self._socket)

    @property
    def pid(self) -> int | None:
        """The server's process id; None when it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def lifeline(self) -> int | None:
        """A file descriptor for children that use this Redis: it is not ended while one of them holds it."""
        return self._watchdog.fd if self._watchdog else None

    def start(self) -> None:
        """Start the server; returns when it answers."""
        binary = find_server()
        with self._kill_on_error():
            self._dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.ExitStack() as resources:
                self._launch(binary, resources)
                self._wait_until_ready()
                self._resources = resources.pop_all()

    def stop(self) -> None:
        """Stop the server cleanly, so that nothing is lost. Does nothing when it is not running."""
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            try:
                self._process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._kill()
            self._process = None
        self._resources.close()

    def restart(self) -> None:
        """Start the server again after it has died: same data, same address. Raises ConfigError when that fails."""
        self._kill()
        with self._kill_on_error():
            self._spawn(find_server())
            self._wait_until_ready()

    @contextlib.contextmanager
    def _kill_on_error(self) -> Iterator[None]:
        """A start that fails leaves no server behind."""
        try:
            yield
        except OSError as error:
            self._kill()
            raise self._problem(f"cannot store the data: {error.strerror}.") from error
        except BaseException:
            self._kill()
            raise

    def _launch(self, binary: Path, resources: contextlib.ExitStack) -> None:
        # Two locks: this process holds one, Redis the other. So an orphaned Redis can be distinguished from one in use.
        ours = LockFile(self._dir / "enrich.lock")
        resources.callback(ours.close)
        if not ours.acquire():
            raise self._problem(f"is in use by another `enrich` (process {ours.read() or 'unknown'}).")
        ours.write(str(os.getpid()))
        servers = LockFile(self._dir / "redis.lock")
        resources.callback(servers.close)
        if not servers.acquire():
            self._shut_down_orphan(servers)
        if len(os.fsencode(self._dir / "redis.sock")) <= _MAX_SOCKET_PATH_BYTES:
            self._socket = self._dir / "redis.sock"
        else:
            private = tempfile.mkdtemp(prefix="enrich-")
            resources.callback(shutil.rmtree, private, ignore_errors=True)
            self._socket = Path(private) / "redis.sock"
        self._server_lock = servers
        self._watchdog = Watchdog()
        resources.callback(self._close_watchdog)
        self._spawn(binary)

    def _spawn(self, binary: Path) -> None:
        with os.fdopen(self._log.open(), "ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [binary, *self._options()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._dir,
                pass_fds=[self._server_lock.fileno()],
                start_new_session=True,  # Ctrl-C stops this process, which then stops Redis
                umask=0o077,
            )
        self._server_lock.write(f"{self._process.pid} {quote(str(self._socket))}")
        if self._watchdog:
            self._watchdog.watch(self._process.pid, self._dir / "redis.lock")

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
            # An order's entry has values of some hundred bytes: in one piece, it takes a third of the memory. All
            # versions know the option by this name.
            "hash-max-ziplist-value": "1024",
            "loglevel": "warning",
            "daemonize": "no",
        }
        return [word for name, value in options.items() for word in (f"--{name}", value)]

    def _wait_until_ready(self) -> None:
        assert self._process
        answered_at = time.monotonic()
        while (answer := _ask(self._socket, b"PING")) != b"+PONG":
            if self._process.poll() is not None:
                raise self._start_problem("Redis ended at once.")
            now = time.monotonic()
            if answer:
                answered_at = now
            elif now - answered_at > _START_TIMEOUT_S:
                raise self._start_problem("Redis does not answer.")
            time.sleep(_POLL_INTERVAL_S)

    def _shut_down_orphan(self, lock: LockFile) -> None:
        if not _shut_down(lock):
            pid = lock.read().partition(" ")[0]
            raise self._problem(
                f"is in use by the Redis of an `enrich` that died (process {pid or 'unknown'}). "
                "That Redis does not stop.",
                f"Stop it: kill -9 {pid}" if pid else "",
            )

    def _kill(self) -> None:
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
        if self._watchdog:
            self._watchdog.pause()

    def _close_watchdog(self) -> None:
        if self._watchdog:
            self._watchdog.close()
            self._watchdog = None

    def trim_log(self) -> None:
        """Keep ``redis.log`` from growing without end. Call it from time to time."""
        self._log.trim()

    def _start_problem(self, message: str) -> ConfigError:
        lines = self._log.lines()
        if any(_is_about_damage(line) for line in lines):
            return self._problem("the append-only file of Redis is damaged.", _REPAIR)
        last = f" Its last line in {self._log.path.name}: {lines[-1]}" if lines else ""
        return self._problem(f"{message}{last}")

    def _problem(self, message: str, cure: str = _OTHER_FOLDER) -> ConfigError:
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
            # The thread cannot be cancelled: let it finish, then stop what it started.
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
    """The URL of the Redis that runs on this folder, whichever process started it; None when there is none."""
    try:
        lock = LockFile(data_dir.absolute() / "redis.lock", create=False)
    except OSError:
        return None
    with contextlib.closing(lock):
        if lock.acquire():
            return None
        _, _, path = lock.read().partition(" ")
        return f"unix://{path}" if path else None


def shut_down_orphan(data_dir: Path) -> bool:
    """Shut down the Redis that still runs on a folder whose ``enrich`` has died; False when it does not stop."""
    try:
        lock = LockFile(data_dir.absolute() / "redis.lock", create=False)
    except FileNotFoundError:
        return True
    with contextlib.closing(lock):
        return lock.acquire() or _shut_down(lock)


def _shut_down(lock: LockFile) -> bool:
    """Ask the server that holds this lock to end, and take the lock; False when it does not end in time."""
    _ask(Path(unquote(lock.read().partition(" ")[2])), b"SHUTDOWN")
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    while not lock.acquire():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_INTERVAL_S)
    return True


def _is_about_damage(line: str) -> bool:
    """Whether Redis could not read its file. A cut-off end is no damage: Redis drops it by itself."""
    # "Bad file format reading the append only file …", "Unknown command … reading the append only file …", "Internal
    # error in RDB reading offset …", "Short read or OOM loading DB".
    return "reading the append only file" in line or "RDB reading" in line or "loading DB" in line


def _url(path: Path) -> str:
    return f"unix://{quote(str(path))}"


def _ask(path: Path, command: bytes) -> bytes:
    """The first line of the server's answer; empty without an answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(path))
            connection.sendall(command + b"\r\n")
            return connection.recv(512).partition(b"\r\n")[0]
        except OSError:
            return b""
