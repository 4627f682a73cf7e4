"""How long each part of the bench takes: a full, a long and a quick run."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Durations:
    """Seconds, rounds and numbers of orders. A part with a floor alternates with it, ``rounds`` times."""

    rounds: int = 3
    closed_s: float = 3.0
    open_s: float = 7.0
    window_s: float = 30.0
    warm_up_s: float = 2.0
    worker_s: float = 6.0
    webhooks: int = 100_000
    orders: int = 5_000
    steady_s: float = 100.0
    burst_s: float = 60.0
    monitored: int = 500
    backlog: int = 10_000
    stores: int = 1_000
    burst: int = 300
    idle_s: float = 60.0
    settle_s: float = 10.0
    fresh_s: float = 10.0
    click_s: float = 60.0
    kept: int = 10_000
    clicks_alone: int = 60
    peer_s: float = 10.0
    alone: int = 20
    flood: int = 2_000
    flood_stores: tuple[int, ...] = (1, 40)
    verifying_s: float = 3.0


FULL = Durations()
# A little more than 100,000 orders at a constant rate.
LONG = Durations(steady_s=1_010.0)
# To see that everything works; the figures are not meaningful.
QUICK = Durations(
    rounds=1,
    closed_s=1.5,
    open_s=2.0,
    window_s=4.0,
    warm_up_s=1.0,
    worker_s=3.0,
    webhooks=2_000,
    orders=500,
    steady_s=4.0,
    burst_s=12.0,
    monitored=100,
    backlog=1_000,
    stores=100,
    burst=30,
    idle_s=4.0,
    settle_s=1.0,
    fresh_s=3.0,
    click_s=4.0,
    kept=500,
    clicks_alone=5,
    peer_s=2.0,
    alone=3,
    flood=200,
    flood_stores=(1, 4),
)
