"""The quota of a store at each API, and the headers that report it."""

from dataclasses import dataclass


@dataclass(slots=True)
class Quota:
    """A fixed window of ``limit`` calls in ``window`` seconds, which starts with its first call."""

    limit: int
    window: float
    used: int = 0
    started_at: float | None = None

    def exhaust(self, now: float) -> None:
        """Use up the window's quota, as other apps do."""
        self._start_window(now)
        self.used = self.limit

    def take(self, now: float) -> bool:
        """Take one call; False when the quota of the window is used up."""
        self._start_window(now)
        if self.used >= self.limit:
            return False
        self.used += 1
        return True

    def _start_window(self, now: float) -> None:
        if self.started_at is None or now >= self.started_at + self.window:
            self.started_at, self.used = now, 0

    @property
    def left(self) -> int:
        """How many calls are left in this window."""
        return self.limit - self.used

    def resets_in(self, now: float) -> float:
        """Seconds until the window ends; its whole length before the first call."""
        return self.window if self.started_at is None else max(0.0, self.started_at + self.window - now)


def core_headers(quota: Quota, now: float) -> dict[str, str]:
    """The quota headers of the core API."""
    return {
        "X-Rate-Limit-Time-Window-Ms": str(round(quota.window * 1000)),
        "X-Rate-Limit-Time-Reset-Ms": str(round(quota.resets_in(now) * 1000)),
        "X-Rate-Limit-Requests-Quota": str(quota.limit),
        "X-Rate-Limit-Requests-Left": str(quota.left),
    }


def b2b_headers(quota: Quota, now: float) -> dict[str, str]:
    """The quota headers of B2B Edition: numbers with a unit, as BigCommerce sends them."""
    return {
        "X-Requests-Allocated": f"{quota.limit} times/{quota.window:g} s",
        "X-Requests-Remaining": f"{quota.left} times",
        "X-Requests-Window-Length": f"{quota.used} times",
        "X-Request-Window-Resets-After": f"{quota.resets_in(now):.3f} s",
    }
