"""A process that spends a store's budget, on a clock that the test moves."""

from dataclasses import dataclass

import pytest

from service.bigcommerce import Api, Budget, BudgetState, Priority
from service.bigcommerce.quota_budget import Spent
from service.bigcommerce.quota_headers import Quota
from service.errors import OutOfBudget
from tests.fakes.sandbox import StillClock

CREATE, CREATE_ELSEWHERE, VERIFY_MANY, VERIFY, RECOVER, BACKGROUND = Priority
LOWER = (VERIFY_MANY, VERIFY, RECOVER, BACKGROUND)


@dataclass(frozen=True, slots=True)
class Spender:
    """One process that spends the budget of one store."""

    clock: StillClock
    budget: Budget
    store: str = "abc123"
    api: Api = Api.B2B

    async def spend(self, priority: Priority = Priority.CREATE) -> Spent:
        spent = await self.budget.spend(self.store, self.api, priority, operation="Get an Order")
        assert spent
        return spent

    async def wait(self, priority: Priority = Priority.CREATE) -> float:
        """Expect a refusal; returns how many seconds this priority has to wait."""
        with pytest.raises(OutOfBudget) as refusal:
            await self.spend(priority)
        return refusal.value.seconds

    async def grants(self, priority: Priority = Priority.CREATE, *, most: int = 1000) -> int:
        """Spend until refused; returns how many calls were granted."""
        for count in range(most):
            try:
                await self.spend(priority)
            except OutOfBudget:
                return count
        return most

    async def state(self) -> BudgetState:
        state = await self.budget.left(self.store, self.api)
        assert state
        return state

    async def left(self) -> int:
        return (await self.state()).left


def quota(left: int | None, resets_in_s: float | None, limit: int | None = 150, window_s: float | None = 60) -> Quota:
    return Quota(limit, left, window_s, resets_in_s)


async def known_window(spender: Spender, left: int = 149, resets_in_s: float = 60.0, limit: int = 150) -> Spent:
    """Spend the first call of a window, and correct the budget by its answer."""
    spent = await spender.spend()
    await spender.budget.correct(spent, quota(left, resets_in_s, limit))
    return spent
