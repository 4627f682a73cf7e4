"""What is recorded and said when something has come of an order, or of a store's credentials."""

import structlog

from service.errors import CredentialsRefused
from service.logs import Event
from service.orders.create_window import LENGTH_S
from service.orders.state.entry import Entry, Stage
from service.redis.client import TRANSIENT_ERRORS
from service.retry import call_with_retry
from workers.order_log import log_finished
from workers.resources import Resources
from workers.results import Finished

log = structlog.get_logger()

# When an order that was enriched is looked at once more; from 20 to 60 s will do, so that one call serves many.
REVERIFY_AFTER_S = 45.0

# With a Redis that does not answer; then the order is looked at once more as a whole.
PATIENCE_S = 2.0


async def end(resources: Resources, entry: Entry, ended: Finished) -> None:
    """Record the order's end, say so in one line, and have what we wrote looked at once more."""
    entry.status, entry.reason, entry.verified = ended.status, ended.reason, ended.verified
    reverify_in = REVERIFY_AFTER_S if entry.status.is_written else None
    # When only the answer was lost the order has ended, and nobody would come back to say so.
    await call_with_retry(
        lambda: resources.transitions.finish(entry, reverify_in=reverify_in),
        on=TRANSIENT_ERRORS,
        at_most_s=PATIENCE_S,
        wait_initial=0.05,
        wait_max=0.5,
    )
    log_finished(entry)
    _count(resources, entry)


def _count(resources: Resources, entry: Entry) -> None:
    metrics, age = resources.metrics, entry.create_age
    metrics.orders.labels(entry.store, entry.status.value).inc()
    if age is not None:
        metrics.create_age.observe(age)
        metrics.create_margin.observe(LENGTH_S - age)
    ages = [(stage.value, entry.age_at(stage)) for stage in Stage]
    metrics.stages((stage, age) for stage, age in ages if age is not None)
    if resources.tracer:
        resources.tracer.order_ended(entry)


async def park(resources: Resources, entry: Entry) -> bool:
    """Set the order aside until the store's credentials are accepted, and say so; False when they are."""
    entry.trouble = "BigCommerce refuses the store's credentials"
    if not await resources.transitions.park(entry):
        return False
    log.info(Event.ORDER_PARKED)
    return True


async def refuse(resources: Resources, store: str, refused: CredentialsRefused) -> None:
    """BigCommerce does not accept the store's credentials: stop calling for it, and say so once."""
    if await resources.breaker.open(store):
        log.error(Event.CREDENTIALS_REFUSED, store=store, operation=refused.operation, status=refused.status)
