"""Sign-in codes and sessions in Redis. Both are random; Redis holds only their hashes, and ends them by itself."""

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from redis.asyncio import Redis

from service.console import lua
from service.console.people.access import Person, Role
from service.orders.state.clocks import redis_time

CODE_VALID_S = 15 * 60
"""How long a sign-in code can be spent."""

SESSION_S_MAX = 30 * 86_400
"""No session is longer."""

_RANDOM_BYTES = 32
_SESSIONS = "enrich:console:sessions"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a sign-in code gives: who is signed in, as what, for which stores (None: all), and for how long."""

    who: str
    role: Role
    stores: frozenset[str] | None
    session_s: int

    def to_json(self) -> str:
        """The grant as Redis keeps it."""
        stores = None if self.stores is None else sorted(self.stores)
        return json.dumps({"who": self.who, "role": self.role, "stores": stores, "session_s": self.session_s})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what ``to_json`` wrote."""
        read = json.loads(text)
        stores = None if read["stores"] is None else frozenset(read["stores"])
        return cls(read["who"], Role(read["role"]), stores, int(read["session_s"]))

    def person(self, session_id: str) -> Person:
        """Who has this session."""
        return Person(self.who, self.role, self.stores, session_id)


@dataclass(frozen=True, slots=True)
class Session:
    """A session as it is listed. ``id`` is of no use to sign in. Times are seconds since the epoch."""

    id: str
    grant: Grant
    began_at: float
    until: float


class Sessions:
    """Makes sign-in codes, spends them, finds and ends sessions. Errors are Redis's own."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def issue_code(self, grant: Grant) -> str:
        """A code that can be spent once, within ``CODE_VALID_S``."""
        code = secrets.token_urlsafe(_RANDOM_BYTES)
        await self._redis.set(_code_key(code), grant.to_json(), ex=CODE_VALID_S)
        return code

    async def spend(self, code: str) -> tuple[str, Person] | None:
        """Begin a session: its secret for the cookie, and who has it. None for a code that is spent, stale or wrong."""
        secret = secrets.token_urlsafe(_RANDOM_BYTES)
        session_id = _hash(secret)
        granted = await lua.spend_code(
            self._redis,
            code=_code_key(code),
            session=_session_key(session_id),
            sessions=_SESSIONS,
            session_id=session_id,
        )
        return (secret, Grant.from_json(granted).person(session_id)) if granted else None

    async def find(self, secret: str) -> Person | None:
        """Who has the session of this cookie; None when it has ended or never was."""
        session_id = _hash(secret)
        granted = await self._redis.hget(_session_key(session_id), "grant")  # type: ignore[misc]
        return Grant.from_json(granted.decode()).person(session_id) if granted else None

    async def list(self) -> list[Session]:
        """All sessions, those that end last first."""
        now_ms = int(await redis_time(self._redis) * 1000)
        await self._redis.zremrangebyscore(_SESSIONS, "-inf", now_ms)
        ids = [found.decode() for found in await self._redis.zrevrangebyscore(_SESSIONS, "+inf", now_ms)]
        async with self._redis.pipeline(transaction=False) as pipe:
            for session_id in ids:
                pipe.hgetall(_session_key(session_id))
            stored = await pipe.execute()
        return [_session(session_id, fields) for session_id, fields in zip(ids, stored, strict=True) if fields]

    async def end(self, session_ids: Iterable[str]) -> int:
        """End these sessions at once. Returns how many there were."""
        ended = 0
        for session_id in session_ids:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.delete(_session_key(session_id))
                pipe.zrem(_SESSIONS, session_id)
                ended += (await pipe.execute())[0]
        return ended


def _session(session_id: str, fields: Mapping[bytes, bytes]) -> Session:
    began_at, until = (int(fields[name]) / 1000 for name in (b"began_ms", b"until_ms"))
    return Session(session_id, Grant.from_json(fields[b"grant"].decode()), began_at, until)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _code_key(code: str) -> str:
    return f"enrich:console:code:{_hash(code)}"


def _session_key(session_id: str) -> str:
    return f"enrich:console:session:{session_id}"
