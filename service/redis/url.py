"""The Redis URL: ``redis://``, ``rediss://``, ``unix://`` and ``redis+sentinel://``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from service.errors import ConfigError, Problem

_ESCAPES = "in a password / is written %2F, ? %3F, # %23, @ %40"
_EXAMPLES = (
    "Expected redis://[user:password@]host:6379/0, rediss://…, unix:///path/to/redis.sock?db=0 "
    "or redis+sentinel://host1:26379,host2:26379/0?master=mymaster."
)


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError
    return text.lower() == "true"


# The allowed query options. Any other could change the format of Redis's answers, so it is refused.
_TLS_OPTIONS: Mapping[str, Callable[[str], Any]] = {
    "ssl_ca_certs": str,
    "ssl_certfile": str,
    "ssl_keyfile": str,
    "ssl_check_hostname": _flag,
}
_SENTINEL_OPTIONS: Mapping[str, Callable[[str], Any]] = {
    "master": str,
    "sentinel_username": str,
    "sentinel_password": str,
    "ssl": _flag,
}
_OPTIONS: Mapping[str, Mapping[str, Callable[[str], Any]]] = {
    "redis": {"db": int},
    "rediss": {"db": int, **_TLS_OPTIONS},
    "unix": {"db": int, "username": str, "password": str},
    "redis+sentinel": {"db": int, **_SENTINEL_OPTIONS, **_TLS_OPTIONS},
}


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """The parts of a Redis URL. ``path`` is a Unix socket's; ``options`` are those of TLS and of Sentinel."""

    scheme: str
    hosts: list[tuple[str, int]]
    path: str
    db: int
    username: str | None
    password: str | None
    options: dict[str, Any]

    @property
    def is_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.scheme == "rediss" or bool(self.options.get("ssl"))

    @property
    def tls_options(self) -> dict[str, Any]:
        """What redis-py needs for TLS."""
        # redis-py compares the certificate's name with the host only if asked to.
        return {"ssl_check_hostname": True} | {k: v for k, v in self.options.items() if k in _TLS_OPTIONS}


class _Invalid(Exception):
    """What is wrong with the URL, in words that never contain a part of a password."""


def parse_url(url: str) -> RedisUrl:
    """Parse a Redis URL. Raises ConfigError when it is not valid."""
    try:
        return _parse(url)
    except _Invalid as invalid:
        raise ConfigError(Problem("REDIS_URL", f"{invalid}.", _EXAMPLES)) from None


def _parse(url: str) -> RedisUrl:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _Invalid("has a host that is not valid") from None
    if parts.scheme not in _OPTIONS:
        raise _Invalid(f"begins with none of {', '.join(f'{scheme}://' for scheme in _OPTIONS)}")
    login, _, host_list = parts.netloc.rpartition("@")
    username, _, password = login.partition(":")
    is_socket = parts.scheme == "unix"
    if parts.fragment or (not is_socket and "@" in parts.path + parts.query):
        raise _Invalid(f"has an end that is not valid ({_ESCAPES})")
    hosts = [] if is_socket else _parse_hosts(parts.scheme, host_list)
    options = _parse_options(parts)
    path, db = unquote(parts.path), options.pop("db", 0)
    if is_socket:
        if host_list or not path.startswith("/"):
            raise _Invalid("needs the absolute path of a socket after unix://")
    elif path.strip("/"):
        db = _parse_db(path.strip("/"))
    if db < 0:
        raise _Invalid("has a negative database number")
    if parts.scheme == "redis+sentinel" and not options.get("master"):
        raise _Invalid("lacks ?master=…, the name of the master that the Sentinels monitor")
    return RedisUrl(
        scheme=parts.scheme,
        hosts=hosts,
        path=path,
        db=db,
        username=options.pop("username", None) or unquote(username) or None,
        password=options.pop("password", None) or unquote(password) or None,
        options=options,
    )


def _parse_options(parts: SplitResult) -> dict[str, Any]:
    known = _OPTIONS[parts.scheme]
    options = {}
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name not in known:
            raise _Invalid(f"has an option that is not one of {', '.join(known)}")
        try:
            options[name] = known[name](text)
        except ValueError:
            raise _Invalid(f"has a value that is not valid for the option {name}") from None
    return options


def _parse_db(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise _Invalid("has a path that is not a database number") from None


def _parse_hosts(scheme: str, text: str) -> list[tuple[str, int]]:
    sentinel = scheme == "redis+sentinel"
    hosts = []
    for name in text.split(",") if sentinel else [text]:
        try:
            one = urlsplit(f"//{name}")
            hosts.append((one.hostname or "", one.port or (26379 if sentinel else 6379)))
        except ValueError:
            raise _Invalid(f"has a host or port that is not valid ({_ESCAPES})") from None
    if sentinel and not all(host for host, _ in hosts):
        raise _Invalid("lacks a Sentinel's host")
    return [(host or "localhost", port) for host, port in hosts]
