"""Parsing the quota headers of an answer.

The core API writes plain numbers, with times in milliseconds. The B2B Edition API writes a unit after each number:
``X-Requests-Allocated: 150 times/60 s``, ``X-Request-Window-Resets-After: 0.397 s``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_NUMBER = re.compile(r"(?<![\w.-])\d+(?:\.\d+)?")
_MAX_WINDOW_S = 3600.0
"""BigCommerce's windows last 30 and 60 seconds: anything longer than an hour is garbage."""


@dataclass(frozen=True, slots=True)
class Quota:
    """How many calls a store has in a window and how many are left; None where the headers do not say."""

    limit: int | None
    left: int | None
    window_s: float | None
    resets_in_s: float | None

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> "Quota | None":
        """Parse the headers of either API, with names in lower case; None when none of them is there or valid."""
        quota = cls._core(headers)
        if quota == _UNKNOWN:
            quota = cls._b2b(headers)
        return None if quota == _UNKNOWN else quota

    @classmethod
    def _core(cls, headers: Mapping[str, str]) -> "Quota":
        window_ms = _first(headers, "x-rate-limit-time-window-ms")
        reset_ms = _first(headers, "x-rate-limit-time-reset-ms")
        return cls(
            limit=_whole(_first(headers, "x-rate-limit-requests-quota")),
            left=_whole(_first(headers, "x-rate-limit-requests-left")),
            window_s=None if window_ms is None else _sane(window_ms / 1000),
            resets_in_s=None if reset_ms is None else _sane(reset_ms / 1000),
        )

    @classmethod
    def _b2b(cls, headers: Mapping[str, str]) -> "Quota":
        # The window is read from here: X-Requests-Window-Length has been seen to say "0 times".
        allocated = _numbers(headers, "x-requests-allocated")
        return cls(
            limit=_whole(allocated[0]) if allocated else None,
            left=_whole(_first(headers, "x-requests-remaining")),
            window_s=_sane(allocated[1]) if len(allocated) > 1 else None,
            resets_in_s=_sane(_first(headers, "x-request-window-resets-after")),
        )


_UNKNOWN = Quota(None, None, None, None)


def _numbers(headers: Mapping[str, str], name: str) -> list[float]:
    value = headers.get(name)
    return [float(number) for number in _NUMBER.findall(value)] if value else []


def _first(headers: Mapping[str, str], name: str) -> float | None:
    return next(iter(_numbers(headers, name)), None)


def _whole(number: float | None) -> int | None:
    return int(number) if number is not None and number < 2**31 else None


def _sane(seconds: float | None) -> float | None:
    return seconds if seconds is not None and seconds <= _MAX_WINDOW_S else None
