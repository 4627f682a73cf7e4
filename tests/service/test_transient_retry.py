"""Retries: which errors, how often, and no cost when nothing fails."""

from collections.abc import Awaitable, Callable

import pytest
import stamina

from service.transient_retry import call_with_retry


def failing(*errors: Exception, then: str = "ok") -> tuple[Callable[[], Awaitable[str]], list[int]]:
    """A call that raises these errors in turn and then returns; and a counter of its attempts."""
    left, attempts = list(errors), [0]

    async def call() -> str:
        attempts[0] += 1
        if left:
            raise left.pop(0)
        return then

    return call, attempts


async def test_a_success_at_the_first_attempt_does_not_set_up_stamina(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(stamina, "retry_context")
    call, attempts = failing()
    assert await call_with_retry(call, on=OSError, wait_initial=0.0, wait_max=0.0) == "ok"
    assert attempts == [1]


async def test_transient_errors_are_retried_until_success() -> None:
    call, attempts = failing(*[OSError()] * 15)
    assert await call_with_retry(call, on=(OSError, KeyError), wait_initial=0.0, wait_max=0.0) == "ok"
    assert attempts == [16]


async def test_other_errors_are_raised_at_once_at_any_attempt() -> None:
    call, attempts = failing(ValueError())
    with pytest.raises(ValueError):  # noqa: PT011 - whichever it is
        await call_with_retry(call, on=OSError, wait_initial=0.0, wait_max=0.0)
    assert attempts == [1]
    call, attempts = failing(OSError(), OSError(), ValueError())
    with pytest.raises(ValueError):  # noqa: PT011
        await call_with_retry(call, on=OSError, wait_initial=0.0, wait_max=0.0)
    assert attempts == [3]


async def test_a_function_may_decide_on_the_retry_and_its_delay() -> None:
    decisions: list[bool | float] = [0.0, True, False]
    call, attempts = failing(OSError(), OSError(), OSError())
    with pytest.raises(OSError):  # noqa: PT011
        await call_with_retry(call, on=lambda _: decisions.pop(0), wait_initial=0.0, wait_max=0.0)
    assert attempts == [3]


async def test_after_the_timeout_the_last_error_is_raised() -> None:
    call, attempts = failing(*[OSError("transient")] * 1000)
    with pytest.raises(OSError, match="transient"):
        await call_with_retry(call, on=OSError, wait_initial=0.01, wait_max=0.01, at_most_s=0.1)
    assert 2 < attempts[0] < 1000
