"""The extra-field configs of a store are read before its first order, and kept fresh while orders come."""

from service.orders.document.cache import CONFIGS_TTL_S
from tests.workers.periodic.conftest import ReconciledStore
from tests.workers.periodic.test_quiet_stores import check_hooks
from workers.periodic.field_configs import REFRESH_AFTER_S
from workers.periodic.reconcile_interval import LATELY_S


async def reads(store: ReconciledStore) -> dict[str, int]:
    """How often the configs were asked for, by status."""
    found: dict[str, int] = (await store.stack.sandbox.calls())["b2b"].get("Get Order Extra Field Configs", {})
    return found


async def test_they_are_read_at_the_first_run_and_again_before_they_are_too_old(store: ReconciledStore) -> None:
    assert await reads(store) == {"200": 1}
    await store.run(REFRESH_AFTER_S - 10.0)
    assert await reads(store) == {"200": 1}
    await store.run(60.0)
    assert await reads(store) == {"200": 2}
    assert REFRESH_AFTER_S + 2 * 60.0 < CONFIGS_TTL_S, "before an order needs them anew, even if one run fails"


async def test_a_store_without_orders_costs_no_such_call(store: ReconciledStore) -> None:
    store.clock.tick(LATELY_S)
    for _ in range(5):
        await check_hooks(store)
        await store.run(REFRESH_AFTER_S)
    assert await reads(store) == {"200": 1}
    await store.stack.place()
    await store.run(60.0)
    assert await reads(store) == {"200": 2}


async def test_an_error_of_the_api_leaves_the_run_as_it_is(store: ReconciledStore) -> None:
    await store.stack.sandbox.faults(b2b_down=True)
    assert await store.run(CONFIGS_TTL_S) == 60.0
    assert len(await reads(store)) == 2, "an answer of another status, too"
