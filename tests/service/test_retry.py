"""Trying again: what is tried, how often, and what it costs when nothing fails."""

from collections.abc import Awaitable, Callable

import pytest
import stamina

from service.retry import call_with_retry


def failing(*errors: Exception, then: str = "well") -> tuple[Callable[[], Awaitable[str]], list[int]]:
    """A call that raises these, one after the other, and then answers; and how often it was made."""
    left, made = list(errors), [0]

    async def call() -> str:
        made[0] += 1
        if left:
            raise left.pop(0)
        return then

    return call, made


async def test_what_succeeds_at_once_sets_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(stamina, "retry_context")
    call, made = failing()
    assert await call_with_retry(call, on=OSError, wait_initial=0.0, wait_max=0.0) == "well"
    assert made == [1]


async def test_what_may_pass_is_tried_until_it_succeeds() -> None:
    call, made = failing(*[OSError()] * 15)
    assert await call_with_retry(call, on=(OSError, KeyError), wait_initial=0.0, wait_max=0.0) == "well"
    assert made == [16]


async def test_what_does_not_pass_is_raised_at_once_at_any_try() -> None:
    call, made = failing(ValueError())
    with pytest.raises(ValueError):  # noqa: PT011 - whichever it is
        await call_with_retry(call, on=OSError, wait_initial=0.0, wait_max=0.0)
    assert made == [1]
    call, made = failing(OSError(), OSError(), ValueError())
    with pytest.raises(ValueError):  # noqa: PT011
        await call_with_retry(call, on=OSError, wait_initial=0.0, wait_max=0.0)
    assert made == [3]


async def test_a_function_may_say_what_is_tried_and_when() -> None:
    verdicts: list[bool | float] = [0.0, True, False]
    call, made = failing(OSError(), OSError(), OSError())
    with pytest.raises(OSError):  # noqa: PT011
        await call_with_retry(call, on=lambda _: verdicts.pop(0), wait_initial=0.0, wait_max=0.0)
    assert made == [3]


async def test_in_the_end_the_last_error_is_raised() -> None:
    call, made = failing(*[OSError("passing")] * 1000)
    with pytest.raises(OSError, match="passing"):
        await call_with_retry(call, on=OSError, wait_initial=0.01, wait_max=0.01, at_most_s=0.1)
    assert 2 < made[0] < 1000
