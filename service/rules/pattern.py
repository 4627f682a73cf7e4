"""Patterns that search shopper text in linear time, whatever the text: RE2, not Python's ``re``."""

from dataclasses import dataclass
from typing import Protocol, Self

import re2

from service.errors import ConfigError, Problem


class _Match(Protocol):
    def group(self, number: int, /) -> str | None: ...


class _Regexp(Protocol):
    @property
    def groups(self) -> int: ...

    def search(self, text: str, /) -> _Match | None: ...


@dataclass(frozen=True, slots=True)
class Pattern:
    """A rule's ``match``, compiled."""

    _regexp: _Regexp

    @classmethod
    def compile(cls, source: str, place: str) -> Self:
        """Compile the pattern that stands at ``place``. Raises ConfigError."""
        options = re2.Options()
        options.log_errors = False  # RE2 would print them
        try:
            return cls(re2.compile(source, options))
        except re2.error as error:
            reason = error.args[0].decode(errors="replace")
            cure = (
                r"Patterns are RE2's: no look-ahead, look-behind or backreferences, \z instead of \Z;"
                " in TOML, single quotes leave backslashes alone."
            )
            raise ConfigError(Problem(place, f"this is no pattern that RE2 knows: {reason}.", cure)) from None

    def find(self, text: str) -> str | None:
        """The first group of the first match, or the whole match of a pattern without groups.

        None when nothing matches, or when the first group took no part in the match.
        """
        match = self._regexp.search(text)
        return match.group(min(self._regexp.groups, 1)) if match else None
