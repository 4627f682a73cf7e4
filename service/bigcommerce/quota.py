"""What an answer's headers tell of the store's quota.

The core API writes plain numbers, in milliseconds where they are times; the B2B Edition API writes a unit after
each: ``X-Requests-Allocated: 150 times/60 s``, ``X-Request-Window-Resets-After: 0.397 s``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_NUMBER = re.compile(r"(?<![\w.-])\d+(?:\.\d+)?")
_LONGEST_S = 3600.0
"""BigCommerce's windows last 30 and 60 seconds: anything longer than this is garbage."""


@dataclass(frozen=True, slots=True)
class Quota:
    """How many calls a store has in a window and what is left of them; None where the answer did not tell."""

    limit: int | None
    left: int | None
    window_s: float | None
    resets_in_s: float | None

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> "Quota | None":
        """Read the headers of either API; None when there is none of them that can be read."""
        quota = cls._core(headers)
        if quota == _UNTOLD:
            quota = cls._b2b(headers)
        return None if quota == _UNTOLD else quota

    @classmethod
    def _core(cls, headers: Mapping[str, str]) -> "Quota":
        window_ms = _first(headers, "X-Rate-Limit-Time-Window-Ms")
        reset_ms = _first(headers, "X-Rate-Limit-Time-Reset-Ms")
        return cls(
            limit=_whole(_first(headers, "X-Rate-Limit-Requests-Quota")),
            left=_whole(_first(headers, "X-Rate-Limit-Requests-Left")),
            window_s=None if window_ms is None else _sane(window_ms / 1000),
            resets_in_s=None if reset_ms is None else _sane(reset_ms / 1000),
        )

    @classmethod
    def _b2b(cls, headers: Mapping[str, str]) -> "Quota":
        # The window is read from here: X-Requests-Window-Length has been seen to say "0 times".
        allocated = _numbers(headers, "X-Requests-Allocated")
        return cls(
            limit=_whole(allocated[0]) if allocated else None,
            left=_whole(_first(headers, "X-Requests-Remaining")),
            window_s=_sane(allocated[1]) if len(allocated) > 1 else None,
            resets_in_s=_sane(_first(headers, "X-Request-Window-Resets-After")),
        )


_UNTOLD = Quota(None, None, None, None)


def _numbers(headers: Mapping[str, str], name: str) -> list[float]:
    return [float(number) for number in _NUMBER.findall(headers.get(name, ""))]


def _first(headers: Mapping[str, str], name: str) -> float | None:
    return next(iter(_numbers(headers, name)), None)


def _whole(number: float | None) -> int | None:
    return int(number) if number is not None and number < 2**31 else None


def _sane(seconds: float | None) -> float | None:
    return seconds if seconds is not None and seconds <= _LONGEST_S else None
