"""Sets values by hand on the order of a ``JobStack``, as the command and the console do."""

from service.bigcommerce import Account, Priority, QuotaWaitingApi
from service.orders.by_hand import OrderValues, Outcome
from tests.fakes.stacks.job_stack import ORDER, JobStack
from tests.fakes.upstream import STORE_HASH


def order_values(stack: JobStack) -> OrderValues:
    configured = stack.resources.configuration.stores[STORE_HASH]
    account = Account(STORE_HASH, configured.store.access_tokens)
    api = QuotaWaitingApi(stack.resources.transport, account, timeout_s=5.0, priority=Priority.BACKGROUND)
    return OrderValues(stack.redis, configured, api, clock=stack.clock)


async def set_by_hand(stack: JobStack, **texts: str) -> Outcome:
    """Ana sets these values."""
    return await order_values(stack).set(ORDER, texts, who="ana")


async def replace_by_hand(stack: JobStack, **texts: str) -> Outcome:
    """Ana sets these values in place of anybody else's."""
    return await order_values(stack).set(ORDER, texts, who="ana", replace=True)


async def clear_by_hand(stack: JobStack) -> Outcome:
    """Ben lets the rules decide again."""
    return await order_values(stack).clear(ORDER, who="ben")
