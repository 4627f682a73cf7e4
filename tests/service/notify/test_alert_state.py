"""When alerts begin and end, however the condition comes and goes."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from service.notify.alert_state import (
    FIRST_KEEP_S,
    FORGOTTEN_AFTER_S,
    LONGEST_KEEP_S,
    MAX_BEGINS_A_DAY,
    MAX_PARTS,
    AlertState,
    Change,
    Phase,
    advance,
)

DAY_S = 86_400.0


def run(observed: Iterable[tuple[float, bool | None]], *, for_s: float = 60.0) -> list[tuple[float, Change]]:
    """What people are told, and when, if the condition is so at these times."""
    state: AlertState | None = None
    told = []
    for now, holds in observed:
        state, change = advance(state, holds, now, for_s=for_s)
        if change:
            told.append((now, change))
    return told


def test_it_begins_after_its_condition_has_held_for_a_while_and_ends_after_it_was_clear_for_a_while() -> None:
    observed = [(now, 100 <= now < 700) for now in range(0, 2000, 10)]
    assert run(observed) == [(160, Change.BEGAN), (700 + FIRST_KEEP_S, Change.ENDED)]


def test_a_condition_that_holds_shortly_is_not_told() -> None:
    assert run([(0, True), (50, True), (55, False), (70, True), (120, True), (125, False)]) == []


def test_an_alert_without_delay_begins_at_once() -> None:
    assert run([(0, False), (15, True)], for_s=0.0) == [(15, Change.BEGAN)]


def test_a_short_break_does_not_end_it() -> None:
    observed = [(now, now % 250 >= 50) for now in range(0, 3000, 10)]
    assert [change for _, change in run(observed)] == [Change.BEGAN]


def test_what_is_not_known_changes_nothing() -> None:
    began = [(0.0, True), (60.0, True)]
    assert run([*began, *((now, None) for now in range(61, 10_000, 10))]) == [(60.0, Change.BEGAN)]
    assert run([(0.0, True), (30.0, None), (60.0, True)]) == [(60.0, Change.BEGAN)]
    assert run([(now, None) for now in range(100)]) == []


def test_it_says_since_when_the_condition_has_held() -> None:
    state, _ = advance(None, True, 100.0, for_s=60.0)
    state, change = advance(state, True, 160.0, for_s=60.0)
    assert state is not None
    assert (change, state.since, state.phase) == (Change.BEGAN, 100.0, Phase.FIRING)


def test_each_return_makes_it_stay_longer_until_it_was_quiet_for_a_day() -> None:
    told, state, now = [], None, 0.0
    for _ in range(3):
        state, _ = advance(state, True, now, for_s=0.0)
        cleared = now = now + 10
        while state and state.phase is Phase.FIRING:
            state, _ = advance(state, False, now, for_s=0.0)
            now += 1
        told.append(now - 1 - cleared)
    assert told == [FIRST_KEEP_S, 2 * FIRST_KEEP_S, 4 * FIRST_KEEP_S]
    assert advance(state, False, now + FORGOTTEN_AFTER_S + 1, for_s=0.0) == (None, None)


def test_it_never_stays_longer_than_the_longest() -> None:
    assert AlertState(phase=Phase.FIRING, since=0.0, begins=500).keep_s == LONGEST_KEEP_S


def test_one_that_comes_and_goes_all_day_sends_few_messages() -> None:
    """The worst course: the condition returns as soon as the alert has ended."""
    state, now, told = None, 0.0, []
    while now < DAY_S:
        state, change = advance(state, state is None or state.phase is Phase.RESOLVED, now, for_s=0.0)
        if change:
            told.append(change)
        now += 5.0
    assert told.count(Change.BEGAN) == MAX_BEGINS_A_DAY


@given(
    st.lists(st.tuples(st.floats(1.0, 5000.0), st.sampled_from([True, False, None])), max_size=200),
    st.sampled_from([0.0, 60.0, 300.0]),
)
def test_beginnings_and_ends_alternate_and_are_few(course: list[tuple[float, bool | None]], for_s: float) -> None:
    now, observed = 0.0, []
    for step, holds in course:
        now += step
        observed.append((now, holds))
    told = run(observed, for_s=for_s)
    assert [change for _, change in told] == [Change.BEGAN, Change.ENDED] * (len(told) // 2) + [Change.BEGAN] * (
        len(told) % 2
    )
    begins = [at for at, change in told if change is Change.BEGAN]
    for start in begins:
        assert sum(start <= at < start + DAY_S for at in begins) <= MAX_BEGINS_A_DAY


def told_of(failures: Iterable[tuple[float, str]], *, until: float, for_s: float = 300.0) -> list[tuple[float, Change]]:
    """What people are told if orders of these groups fail at these times, and nobody mends them."""
    failures = list(failures)
    told: list[tuple[float, Change]] = []
    state: AlertState | None = None
    for now in range(0, int(until), 30):
        parts: dict[str, float] = {}
        for at, part in failures:
            if at <= now:
                parts[part] = max(at, parts.get(part, 0.0))
        state, change = advance(state, bool(parts), now, for_s=for_s, parts=parts)
        if change:
            told.append((now, change))
    return told


def test_a_later_order_is_told_of_while_an_earlier_one_waits() -> None:
    assert told_of([(0, "a"), (7200, "a")], until=DAY_S) == [(300, Change.BEGAN), (7500, Change.MORE)]


def test_orders_that_fail_together_are_told_of_together() -> None:
    assert told_of([(0, "a"), (10, "a"), (250, "b")], until=DAY_S) == [(300, Change.BEGAN)]


def test_another_group_is_told_of_soon_and_a_known_one_after_pauses_that_grow() -> None:
    failures = [(float(now), "a") for now in range(0, 7200, 60)]
    told = told_of([*failures, (5000.0, "b")], until=7200)
    # The last one five minutes after there were news again.
    assert [now for now, _ in told] == [300, 660, 1260, 2460, 4860, 5220]
    assert [change for _, change in told[1:]] == [Change.MORE] * 5


def test_groups_without_end_are_told_of_seldom() -> None:
    told = told_of([(float(now), f"reason {now}") for now in range(0, int(DAY_S), 60)], until=DAY_S)
    assert len(told) <= MAX_PARTS + MAX_BEGINS_A_DAY


def test_a_quiet_day_makes_the_pauses_short_again() -> None:
    failures = [(float(now), "a") for now in range(0, 7200, 60)]
    later = 3 * DAY_S
    told = told_of([*failures, (later, "a"), (later + 3600, "a")], until=4 * DAY_S)
    assert [now for now, _ in told if now > later - 60] == [later + 300, later + 3900]


def test_what_an_older_version_has_told_of_is_not_told_again() -> None:
    state = AlertState(phase=Phase.FIRING, since=0.0, begins=1)
    after, change = advance(state, True, 1000.0, for_s=300.0, parts={"a": 500.0})
    assert change is None
    assert after is not None
    assert after.news is not None
    assert after.news.told_until == 500.0


def test_an_order_that_is_mended_soon_is_not_told_of() -> None:
    state, _ = advance(None, True, 0.0, for_s=0.0, parts={"a": 0.0})
    for now, parts in ((4000.0, {"a": 3990.0}), (4200.0, {"a": 0.0}), (4400.0, {"a": 4390.0})):
        state, change = advance(state, True, now, for_s=300.0, parts=parts)
        assert change is None
