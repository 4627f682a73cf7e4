"""Compiles ``match`` patterns with RE2, not Python's ``re``: RE2 searches any shopper text in linear time."""

from dataclasses import dataclass
from typing import Protocol
from weakref import WeakValueDictionary

import re2

from service.errors import ConfigError, Problem


class _Match(Protocol):
    def group(self, number: int, /) -> str | None: ...


class _Regexp(Protocol):
    @property
    def groups(self) -> int: ...

    def search(self, text: str, /) -> _Match | None: ...


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Pattern:
    """A rule's ``match``, compiled. Those of equal text are one object as long as one of them is in use."""

    _regexp: _Regexp

    @classmethod
    def compile(cls, source: str, place: str) -> "Pattern":
        """Compile the pattern written at ``place``. Raises ConfigError."""
        if (known := _IN_USE.get(source)) is not None:
            return known
        options = re2.Options()
        options.log_errors = False  # RE2 would print them to stderr
        try:
            return _IN_USE.setdefault(source, cls(re2.compile(source, options)))
        except re2.error as error:
            reason = error.args[0].decode(errors="replace")
            cure = (
                r"RE2 has no look-ahead, look-behind or backreferences, and \z instead of \Z."
                " In TOML, use single quotes, which keep backslashes as they are."
            )
            raise ConfigError(Problem(place, f"this is not a valid RE2 pattern: {reason}.", cure)) from None

    def find(self, text: str) -> str | None:
        """The first group of the first match; the whole match when the pattern has no groups.

        None when nothing matches, or when the first group is not part of the match.
        """
        match = self._regexp.search(text)
        return match.group(min(self._regexp.groups, 1)) if match else None


_IN_USE: WeakValueDictionary[str, Pattern] = WeakValueDictionary()
