"""The budget against a model of BigCommerce's quota, for any sequence of events.

Calls and answers take time, answers get lost, other apps spend too, and the model counts in fixed windows: either they
follow each other on the clock, or each begins with the first call after the last one.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from random import Random

import pytest
from arq import ArqRedis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from service.bigcommerce import Api, Budget, Priority
from service.bigcommerce.quota_budget import Spent
from service.bigcommerce.quota_headers import Quota
from service.errors import OutOfBudget
from tests.fakes.sandbox import StillClock

WINDOW_S = 10.0
# As many as make chaos wants of a property, or fewer, as each example has hundreds of calls.
EXAMPLES = settings.default.max_examples if settings.default else 100
UNCHECKED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
MAX_LATENCY_S = 2.0  # in each direction: together less than half a window


@dataclass(slots=True)
class Server:
    """The model of a store's quota. Its windows are numbered."""

    limit: int
    is_aligned: bool
    window: int = 0
    began_at: float = float("-inf")
    used: int = 0

    def take(self, now: float) -> tuple[bool, Quota]:
        if now >= self.began_at + WINDOW_S:
            self.began_at = now // WINDOW_S * WINDOW_S if self.is_aligned else now
            self.window += 1
            self.used = 0
        accepted = self.used < self.limit
        self.used += accepted
        resets_in_s = round(self.began_at + WINDOW_S - now, 3)
        return accepted, Quota(self.limit, self.limit - self.used, WINDOW_S, resets_in_s)


@dataclass(frozen=True, slots=True)
class Burst:
    """Some calls at once, some time after the previous burst; calls of other apps have no priority."""

    gap_s: float
    priority: Priority | None
    calls: int
    is_fast: bool


bursts = st.builds(
    Burst,
    gap_s=st.sampled_from([0.0, 0.0, 0.001, 0.3, 2.5, 9.9, 10.0, 25.0]),
    priority=st.sampled_from([Priority.CREATE, Priority.CREATE, *Priority, None]),
    calls=st.integers(1, 12),
    is_fast=st.booleans(),
)


@dataclass
class World:
    """Two processes and other apps share a store, on one simulated clock."""

    redis: ArqRedis
    server: Server
    chance: Random
    lost_share: float
    clock: StillClock = field(default_factory=StillClock)
    # By the server's window:
    foreign: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    refused: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    accepted: dict[int, Counter[Priority]] = field(default_factory=lambda: defaultdict(Counter))
    waits: list[float] = field(default_factory=list)
    # Calls as (our window, the server's window), in the order in which they arrive.
    arrived: list[tuple[int, int]] = field(default_factory=list)
    ours: int = 0
    answered: set[int] = field(default_factory=set)
    never_answered: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.budgets = [Budget(self.redis, clock=self.clock) for _ in range(2)]
        self._order = count()
        self._agenda: list[tuple[float, int, Callable[[], object]]] = []

    def later(self, seconds: float, happens: Callable[[], object]) -> None:
        heapq.heappush(self._agenda, (self.clock.now + seconds, next(self._order), happens))

    async def run(self, until: float = float("inf")) -> None:
        while self._agenda and self._agenda[0][0] <= until:
            at, _, happens = heapq.heappop(self._agenda)
            self.clock.now = at
            pending = happens()
            if pending is not None:
                await pending  # type: ignore[misc]
        if until < float("inf"):
            self.clock.now = until

    async def spend(self, priority: Priority, *, is_fast: bool) -> float:
        """Spend a call and send it; returns how long to wait when it is refused, else 0."""
        budget = self.chance.choice(self.budgets)
        try:
            spent = await budget.spend("abc123", Api.B2B, priority, operation="Get an Order")
        except OutOfBudget as refusal:
            self.waits.append(refusal.seconds)
            return refusal.seconds
        assert spent
        if spent.window != self.ours:
            if self.ours not in self.answered:
                self.never_answered.add(self.ours)
            self.ours = spent.window
        self.later(self._latency(is_fast=is_fast), lambda: self._arrive(budget, spent, priority, is_fast=is_fast))
        return 0.0

    def others_spend(self) -> None:
        self.server.take(self.clock.now)
        self.foreign[self.server.window] += 1

    def _arrive(self, budget: Budget, spent: Spent, priority: Priority, *, is_fast: bool) -> None:
        accepted, quota = self.server.take(self.clock.now)
        window = self.server.window
        if accepted:
            self.accepted[window][priority] += 1
        else:
            self.refused[window] += 1
        self.arrived.append((spent.window, window))
        if self.chance.random() >= self.lost_share:
            self.later(self._latency(is_fast=is_fast), lambda: self._answer(budget, spent, quota, accepted=accepted))

    async def _answer(self, budget: Budget, spent: Spent, quota: Quota, *, accepted: bool) -> None:
        self.answered.add(spent.window)
        await budget.correct(spent, quota, refused=not accepted)

    def misplaced(self) -> Counter[int]:
        """How many calls were counted in another window than expected, by the server's window.

        They were in flight when it reset, or no answer had reported when it would.
        """
        first_window_of: dict[int, int] = {}
        for ours, window in self.arrived:
            first_window_of.setdefault(ours, window)
        return Counter(
            window for ours, window in self.arrived if first_window_of[ours] != window or ours in self.never_answered
        )

    def _latency(self, *, is_fast: bool) -> float:
        return self.chance.uniform(0.0001, 0.005 if is_fast else MAX_LATENCY_S)


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    with capture_logs():
        yield


async def begin(world: World) -> None:
    """Make a first call that is answered at once, so that the limit is known."""
    budget = world.budgets[0]
    spent = await budget.spend("abc123", Api.B2B, Priority.CREATE, operation="Get an Order")
    assert spent
    _, quota = world.server.take(world.clock.now)
    world.ours = spent.window
    world.answered.add(spent.window)
    world.arrived.append((spent.window, world.server.window))
    await budget.correct(spent, quota)


@settings(max_examples=EXAMPLES // 2, suppress_health_check=UNCHECKED)
@given(
    sequence=st.lists(bursts, max_size=40),
    limit=st.integers(2, 30),
    is_aligned=st.booleans(),
    lost_share=st.sampled_from([0.0, 0.0, 0.1, 1.0]),
    seed=st.integers(0, 2**32),
)
async def test_refusals_are_no_more_than_calls_of_others_and_calls_that_crossed_a_reset(
    redis: ArqRedis, sequence: list[Burst], limit: int, is_aligned: bool, lost_share: float, seed: int
) -> None:
    await redis.flushall()
    world = World(redis, Server(limit, is_aligned), Random(seed), lost_share)
    await begin(world)
    for burst in sequence:
        await world.run(until=world.clock.now + burst.gap_s)
        for _ in range(burst.calls):
            if burst.priority is None:
                world.others_spend()
            else:
                await world.spend(burst.priority, is_fast=burst.is_fast)
    await world.run()

    assert all(0 < seconds <= WINDOW_S + MAX_LATENCY_S for seconds in world.waits)
    misplaced = world.misplaced()
    for window, refused in world.refused.items():
        assert refused <= world.foreign[window] + misplaced[window]

    # In any case a create is granted after it has waited as long as the refusal says.
    waits = await world.spend(Priority.CREATE, is_fast=True)
    if waits:
        world.clock.tick(waits)
        assert await world.spend(Priority.CREATE, is_fast=True) == 0.0


@settings(max_examples=EXAMPLES // 10, suppress_health_check=UNCHECKED)
@given(limit=st.integers(20, 150), is_aligned=st.booleans(), is_fast=st.booleans(), seed=st.integers(0, 2**32))
async def test_a_steady_stream_of_creates_gets_nearly_the_whole_quota(
    redis: ArqRedis, limit: int, is_aligned: bool, is_fast: bool, seed: int
) -> None:
    """Lower priorities try all the time, but get only the few calls of their head start."""
    await redis.flushall()
    world = World(redis, Server(limit, is_aligned), Random(seed), lost_share=0.0)
    await begin(world)
    for _ in range(45):
        for priority in (Priority.BACKGROUND, Priority.RECOVER, Priority.VERIFY):
            await world.spend(priority, is_fast=is_fast)
        while await world.spend(Priority.CREATE, is_fast=is_fast) == 0.0:
            pass
        await world.run(until=world.clock.now + 1.0)
    await world.run()

    assert sum(world.refused.values()) == 0
    whole = range(2, world.server.window)
    assert len(whole) >= 2
    for window in whole:
        assert sum(world.accepted[window].values()) == limit
        assert limit - world.accepted[window][Priority.CREATE] <= 3
