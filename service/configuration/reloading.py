"""The stores file while the program runs: read again when it, or a secret's file, has changed, or when asked to.

Files are looked at again and again instead of asking the system to tell (inotify): secrets lie in several folders,
behind symbolic links that Kubernetes turns, and network and overlay mounts tell nothing.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import structlog

from service.configuration import Configuration, load_configuration
from service.errors import ConfigError, Problem
from service.logs import Event
from service.stores import Files, Stamp, stamp

log = structlog.get_logger()

# A change is taken up at the second look that finds it, so within two seconds.
LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Changes:
    """Which stores another configuration has, has no more, or has with another table or other secrets: hashes."""

    added: list[str]
    removed: list[str]
    changed: list[str]

    @classmethod
    def between(cls, old: Configuration, new: Configuration) -> Self:
        """What has changed from one to the other."""
        both = old.stores.keys() & new.stores.keys()
        return cls(
            added=sorted(new.stores.keys() - both),
            removed=sorted(old.stores.keys() - both),
            changed=sorted(store for store in both if old.stores[store].store != new.stores[store].store),
        )


class LiveConfiguration:
    """The configuration in force: what the stores file said when it was last right.

    The first reading raises ConfigError. A later one that finds problems is told in the log, and changes nothing.
    """

    def __init__(self, path: Path, environ: Mapping[str, str] = os.environ) -> None:
        self._path = path
        self._environ = environ
        self._asked = False
        files = Files()
        self._current = load_configuration(path, environ, files=files)
        self._read: Mapping[Path, Stamp] = files.stamps
        self._seen = self._read

    @property
    def current(self) -> Configuration:
        """What holds now. It is replaced as a whole: whoever keeps it goes on with the old one."""
        return self._current

    def ask(self) -> None:
        """Have the file read at the next look, whether it has changed or not. For a signal's handler."""
        self._asked = True

    async def follow(self, take: Callable[[Changes], Awaitable[None]], *, every_s: float = LOOK_EVERY_S) -> None:
        """Look for ever; ``take`` is called each time another configuration has come into force."""
        while True:
            await asyncio.sleep(every_s)
            try:
                # A thousand stores take half a second, and webhooks are to be answered meanwhile.
                changes = await asyncio.to_thread(self.look)
                if changes is not None:
                    await take(changes)
            except Exception:
                log.exception(Event.INTERNAL_ERROR, place="stores")

    def look(self) -> Changes | None:
        """Read what was asked for, or has changed; None when the old configuration stays in force."""
        if self._asked:
            self._asked = False
            return self._reload()
        seen = {path: stamp(path) for path in self._read}
        if seen == self._read:
            return None
        if seen != self._seen:
            # Somebody may be at it: half a file may be in order, and lack half the stores. Wait until it stands still.
            self._seen = seen
            return None
        return self._reload()

    def _reload(self) -> Changes | None:
        files = Files()
        try:
            new = self._replaceable(load_configuration(self._path, self._environ, files=files))
        except ConfigError as error:
            log.error(Event.STORES_NOT_RELOADED, problems=[str(problem) for problem in error.problems])
            return None
        finally:
            self._read = self._seen = files.stamps
        changes = Changes.between(self._current, new)
        self._current = new
        log.info(
            Event.STORES_RELOADED,
            stores=len(new.stores),
            added=changes.added,
            removed=changes.removed,
            changed=changes.changed,
        )
        return changes

    def _replaceable(self, new: Configuration) -> Configuration:
        """The same; ConfigError when it cannot take the place of the one in force."""
        if new.endpoints != self._current.endpoints:
            place, cure = f"{self._path}: [bigcommerce]", "Restart it, or put back what stood there."
            raise ConfigError(Problem(place, "BigCommerce's addresses cannot change while the program runs.", cure))
        return new
