"""Reloads the stores file at run time: when it or a secret's file changes, or on request.

The files are polled. Notifications of the system (inotify) do not work for network and overlay mounts, and secrets
may be in several folders, behind symbolic links that Kubernetes replaces.
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
from service.stores import FileReader, Stamp, stamp

log = structlog.get_logger()

POLL_INTERVAL_S = 1.0
"""A change is loaded when two polls have found the same state, so within two seconds."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The hashes of the stores that were added, removed, or changed (table or secrets)."""

    added: list[str]
    removed: list[str]
    changed: list[str]

    @classmethod
    def between(cls, old: Configuration, new: Configuration) -> Self:
        """Compare two configurations."""
        both = old.stores.keys() & new.stores.keys()
        return cls(
            added=sorted(new.stores.keys() - both),
            removed=sorted(old.stores.keys() - both),
            changed=sorted(store for store in both if old.stores[store].store != new.stores[store].store),
        )


class LiveConfiguration:
    """The current configuration: the last valid content of the stores file.

    The constructor raises ConfigError. Problems found by a later reload are logged, and the old configuration stays.
    """

    def __init__(self, path: Path, environ: Mapping[str, str] = os.environ) -> None:
        self._path = path
        self._environ = environ
        self._is_requested = False
        files = FileReader()
        self._current = load_configuration(path, environ, files=files)
        self._digest = files.digests[path]
        self._loaded: Mapping[Path, Stamp] = files.stamps
        self._last_seen = self._loaded

    @property
    def current(self) -> Configuration:
        """The current configuration. A reload replaces the object; it never changes one that was handed out."""
        return self._current

    @property
    def path(self) -> Path:
        """The stores file."""
        return self._path

    @property
    def digest(self) -> str:
        """The ``content_digest`` of the stores file that the current configuration was read from."""
        return self._digest

    def check(self, text: str) -> Configuration:
        """The configuration that the stores file would make with this text. Raises ConfigError with all problems."""
        return self._check_endpoints(load_configuration(self._path, self._environ, text=text))

    def request_reload(self) -> None:
        """Request a reload at the next poll, even if no file has changed. For a signal handler."""
        self._is_requested = True

    async def watch_for_changes(
        self, on_change: Callable[[Changes], Awaitable[None]], *, every_s: float = POLL_INTERVAL_S
    ) -> None:
        """Poll forever; call ``on_change`` after each reload that succeeded."""
        while True:
            await asyncio.sleep(every_s)
            try:
                # In a thread: a thousand stores take half a second, and webhooks must be answered meanwhile.
                changes = await asyncio.to_thread(self.poll)
                if changes is not None:
                    await on_change(changes)
            except Exception:
                log.exception(Event.INTERNAL_ERROR, place="stores")

    def poll(self) -> Changes | None:
        """Reload if requested, or if a file has changed. None when the old configuration stays."""
        if self._is_requested:
            self._is_requested = False
            return self._reload()
        seen = {path: stamp(path) for path in self._loaded}
        if seen == self._loaded:
            return None
        if seen != self._last_seen:
            # The file may still be being written, and half a file may be valid but lack half the stores. So wait
            # until two polls see the same state.
            self._last_seen = seen
            return None
        return self._reload()

    def _reload(self) -> Changes | None:
        files = FileReader()
        try:
            new = self._check_endpoints(load_configuration(self._path, self._environ, files=files))
        except ConfigError as error:
            log.error(Event.STORES_NOT_RELOADED, problems=[str(problem) for problem in error.problems])
            return None
        finally:
            self._loaded = self._last_seen = files.stamps
        changes = Changes.between(self._current, new)
        self._current = new
        self._digest = files.digests[self._path]
        log.info(
            Event.STORES_RELOADED,
            stores=len(new.stores),
            added=changes.added,
            removed=changes.removed,
            changed=changes.changed,
        )
        return changes

    def _check_endpoints(self, new: Configuration) -> Configuration:
        """Return the configuration. Raises ConfigError when its endpoints differ from the current ones."""
        if new.endpoints != self._current.endpoints:
            place, cure = f"{self._path}: [bigcommerce]", "Restart the program, or restore the old addresses."
            raise ConfigError(Problem(place, "BigCommerce's addresses cannot change while the program runs.", cure))
        return new
