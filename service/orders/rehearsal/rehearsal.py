"""The measurements of a rehearsal, on three test orders at the same time.

    left alone   does its record come by itself, and when; then the webhooks of a change and of a metafield
    early        Create an Order after a second; then Get, Get All Orders, Update an Order, and a last look
    late         Create an Order after 15 seconds

What cannot be measured is said, with the reason; it never ends the rehearsal. Only refused credentials do.
"""

import asyncio
from collections.abc import Awaitable, Sequence

from service.bigcommerce import Api
from service.bigcommerce.models import ExtraFieldConfig
from service.errors import CredentialsRefused, UpstreamError
from service.orders.facts.fact import Fact
from service.orders.facts.learning import options_place
from service.orders.rehearsal.lines import OPTIONS, QUOTAS, Line
from service.orders.rehearsal.marked_orders import MarkedOrder
from service.orders.rehearsal.measurement import Measurement, Verdict, compared, not_measured
from service.orders.rehearsal.record_measurements import RecordMeasurements
from service.orders.rehearsal.run import Run
from service.orders.rehearsal.webhook_measurements import WebhookMeasurements
from service.orders.rehearsal.webhook_watch import WebhookWatch

ORDERS = 3
"""How many test orders a rehearsal places."""


class Rehearsal:
    """One rehearsal. An interrupted one has measured something, too."""

    def __init__(self, run: Run, *, watch: WebhookWatch | None, no_watch: str = "") -> None:
        """``watch`` is None where no webhook can be observed; ``no_watch`` says why."""
        self._run = run
        self._records = RecordMeasurements(run)
        self._webhooks = WebhookMeasurements(run, watch, no_watch)
        self._trouble = "BigCommerce did not answer"

    @property
    def measurements(self) -> list[Measurement]:
        """What was measured so far, in a fixed order."""
        measured = self._run.measured
        return [measured[subject] for subject, _ in self._run.schedule.lines if subject in measured]

    async def measure(self) -> None:
        """Place the orders and measure. Raises UpstreamError where that is not possible at all."""
        run = self._run
        alone = await run.orders.place()  # where this token may not, nothing more is tried
        run.report("placing test orders")
        run.configs = await run.read(run.api.b2b.extra_field_configs)
        run.add(_dropdown_options(run.configs))
        early, late = [await run.orders.place() for _ in range(ORDERS - 1)]
        try:
            async with asyncio.TaskGroup() as group:
                for work in (
                    self._measure_alone(alone),
                    self._records.measure_early(early),
                    self._records.measure_late(late),
                    self._webhooks.measure_new_order(alone),
                ):
                    group.create_task(self._guard(work))
        except* CredentialsRefused as refused:
            raise refused.exceptions[0] from None
        for api, line in QUOTAS.items():
            run.add(self._quota(api, line))
        for line in run.schedule.lines:
            if line[0] not in run.measured:
                run.add(not_measured(*line, self._trouble))

    async def _measure_alone(self, order: MarkedOrder) -> None:
        await self._records.measure_alone(order)
        await self._webhooks.measure_others(order)

    async def _guard(self, work: Awaitable[None]) -> None:
        """Let a call that fails for good cost its own lines only, but not refused credentials."""
        try:
            await work
        except CredentialsRefused:
            raise
        except UpstreamError as error:
            self._trouble = str(error)

    def _quota(self, api: Api, line: Line) -> Measurement:
        quota = self._run.api.quotas.get(api)
        if quota is None:
            return Measurement(*line, "none", Verdict.DIFFERS)
        parts = {"limit": quota.limit, "left": quota.left, "window": quota.window_s, "reset": quota.resets_in_s}
        missing = [part for part, value in parts.items() if value is None]
        if missing:
            return Measurement(*line, f"without {', '.join(missing)}", Verdict.DIFFERS)
        return Measurement(*line, f"{quota.limit} calls in {quota.window_s:g} s", Verdict.AS_DOCUMENTED)


def _dropdown_options(configs: Sequence[ExtraFieldConfig]) -> Measurement:
    place = options_place(configs)
    if place is None:
        return not_measured(*OPTIONS, "no dropdown, or each has them elsewhere")
    verdict = compared(as_documented=place == "listOfValues")
    return Measurement(*OPTIONS, place, verdict, {Fact.DROPDOWN_OPTIONS: place})
