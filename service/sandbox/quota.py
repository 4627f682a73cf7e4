"""The two quotas of a store, and how each API tells of its own in headers."""

from dataclasses import dataclass


@dataclass(slots=True)
class Quota:
    """``limit`` calls in a window of ``window`` seconds that starts with the first call."""

    limit: int
    window: float
    used: int = 0
    started_at: float | None = None

    def take(self, now: float) -> bool:
        """Spend one call; False when the window's calls are spent."""
        if self.started_at is None or now >= self.started_at + self.window:
            self.started_at, self.used = now, 0
        if self.used >= self.limit:
            return False
        self.used += 1
        return True

    @property
    def left(self) -> int:
        """How many calls are left in this window."""
        return self.limit - self.used

    def resets_in(self, now: float) -> float:
        """Seconds until the window ends; a whole one before its first call."""
        return self.window if self.started_at is None else max(0.0, self.started_at + self.window - now)


def core_headers(quota: Quota, now: float) -> dict[str, str]:
    """What the core API tells of the quota with each answer."""
    return {
        "X-Rate-Limit-Time-Window-Ms": str(round(quota.window * 1000)),
        "X-Rate-Limit-Time-Reset-Ms": str(round(quota.resets_in(now) * 1000)),
        "X-Rate-Limit-Requests-Quota": str(quota.limit),
        "X-Rate-Limit-Requests-Left": str(quota.left),
    }


def b2b_headers(quota: Quota, now: float) -> dict[str, str]:
    """Numbers with a unit after them, as BigCommerce prints them."""
    return {
        "X-Requests-Allocated": f"{quota.limit} times/{quota.window:g} s",
        "X-Requests-Remaining": f"{quota.left} times",
        "X-Requests-Window-Length": f"{quota.used} times",
        "X-Request-Window-Resets-After": f"{quota.resets_in(now):.3f} s",
    }
