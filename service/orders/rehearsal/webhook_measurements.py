"""Measures how long webhooks take, where a receiver and a worker run."""

from collections.abc import Awaitable, Callable

from redis.exceptions import RedisError

from service.bigcommerce.clients.hooks import METAFIELD_WRITTEN, ORDER_CREATED, read_hooks
from service.errors import UpstreamError
from service.orders.facts.fact import Fact
from service.orders.rehearsal.lines import CHANGED_ORDER, METAFIELD, NEW_ORDER, Line
from service.orders.rehearsal.marked_orders import MarkedOrder
from service.orders.rehearsal.measurement import Measurement, Verdict, not_measured
from service.orders.rehearsal.run import Run
from service.orders.rehearsal.webhook_watch import WebhookWatch

ORDER_UPDATED = "store/order/updated"


class WebhookMeasurements:
    """``watch`` is None where no webhook can be observed; ``no_watch`` says why."""

    def __init__(self, run: Run, watch: WebhookWatch | None, no_watch: str) -> None:
        self._run = run
        self._watch = watch
        self._no_watch = no_watch

    async def measure_new_order(self, order: MarkedOrder) -> None:
        """The webhook of the order itself."""
        watch, why = await self._watching(ORDER_CREATED)
        if watch is None:
            self._run.add(not_measured(*NEW_ORDER, why))
            return
        age = await self._wait_for(lambda: watch.new_order_age(order.order_id))
        if age is None:
            found = f"none within {self._run.schedule.webhook_s:.0f} s"
            self._run.add(Measurement(*NEW_ORDER, found, Verdict.DIFFERS))
        else:
            facts = {Fact.WEBHOOK_DELAY: round(age, 1)}
            self._run.add(Measurement(*NEW_ORDER, f"after {age:.1f} s", Verdict.NOT_DOCUMENTED, facts))

    async def measure_others(self, order: MarkedOrder) -> None:
        """Those of a change and of a metafield, which it makes."""
        order_id, core = order.order_id, self._run.api.core
        note = f"Test order of `enrich rehearse`, run {self._run.orders.run}: changed."
        await self._measure_event(
            CHANGED_ORDER,
            order,
            ORDER_UPDATED,
            lambda: core.update_order(order_id, staff_notes=note),
        )
        await self._measure_event(
            METAFIELD,
            order,
            METAFIELD_WRITTEN[0],
            lambda: core.create_metafield(order_id, "enrich_rehearse", "run", self._run.orders.run),
        )

    async def _measure_event(
        self, line: Line, order: MarkedOrder, scope: str, cause: Callable[[], Awaitable[None]]
    ) -> None:
        watch, why = await self._watching(scope)
        if watch is None:
            self._run.add(not_measured(*line, why))
            return
        self._run.report(f"waiting for the {line[0]}")
        began_at = self._run.now()
        try:
            await cause()
        except UpstreamError as error:
            self._run.add(not_measured(*line, str(error)))
            return
        received = await self._wait_for(lambda: watch.received_at(order.order_id, scope))
        if received is None:
            found = f"none within {self._run.schedule.webhook_s:.0f} s"
            self._run.add(Measurement(*line, found, Verdict.DIFFERS))
        else:
            seconds = max(0.0, received + self._run.skew() - began_at)
            self._run.add(Measurement(*line, f"after {seconds:.1f} s", Verdict.NOT_DOCUMENTED))

    async def _watching(self, scope: str) -> tuple[WebhookWatch | None, str]:
        """The watch, or None and the reason why events of this scope cannot be observed."""
        if self._watch is None:
            return None, self._no_watch
        try:
            hooks = await self._run.read(lambda: read_hooks(self._run.api.core))
        except UpstreamError as error:
            return None, str(error)
        is_registered = any(hook.is_active and hook.covers(scope) for hook in hooks)
        return (self._watch, "") if is_registered else (None, f"no active webhook for {scope}")

    async def _wait_for(self, look: Callable[[], Awaitable[float | None]]) -> float | None:
        ends_at = self._run.now() + self._run.schedule.webhook_s
        while True:
            try:
                found = await look()
            except RedisError:
                found = None
            if found is not None or self._run.now() >= ends_at:
                return found
            await self._run.sleep(self._run.schedule.poll_s / 2)
