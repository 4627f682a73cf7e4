"""What is counted, for Prometheus. Each process has a registry of its own; nothing is global."""

from collections.abc import Iterable
from itertools import pairwise

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from service import logs

CONTENT_TYPE = CONTENT_TYPE_LATEST

# The half-second steps tell the patience with Redis: two seconds at most.
_WEBHOOK_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 10.0)
# The window is ten seconds long: the steps are even over it, and finer where most orders are.
_AGE_SECONDS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 12.0)
_MARGIN_SECONDS = (-2.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 8.5, 9.0, 9.25, 9.5, 9.75, 10.0)
_STAGE_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 2.0, 3.0, 5.0, 10.0)


class _Metrics:
    """A registry, with the process's own numbers in it (memory, CPU, open files)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(_LogLines())

    def text(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self.registry)


class _LogLines(Collector):
    """How many lines of this process's log were dropped."""

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily(
            "enrich_log_lines_dropped",
            "Lines of the log that were dropped because they could not be written in time.",
            value=logs.lines_dropped(),
        )


class ReceiverMetrics(_Metrics):
    """The receiver's numbers."""

    def __init__(self, answers: Iterable[str]) -> None:
        """``answers`` are the values of the label ``answer``, so that each counter is there from the start."""
        super().__init__()
        webhooks = Counter(
            "enrich_webhooks",
            "Webhooks by what they were answered.",
            ["answer"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "enrich_webhook_seconds",
            "Time from a webhook's first byte to its answer.",
            buckets=_WEBHOOK_SECONDS,
            registry=self.registry,
        )
        self._webhooks = {answer: webhooks.labels(answer) for answer in answers}

    def answered(self, answer: str, seconds: float) -> None:
        """Count a webhook by its answer, and by the time that it took."""
        self._webhooks[answer].inc()
        self._seconds.observe(seconds)


class WorkerMetrics(_Metrics):
    """A worker's own numbers. What all workers share is read from Redis: ``service.orders.gauges``."""

    def __init__(self) -> None:
        super().__init__()
        self.orders = Counter(
            "enrich_orders",
            "Orders that have ended, by their outcome.",
            ["store", "outcome"],
            registry=self.registry,
        )
        self.create_age = Histogram(
            "enrich_create_age_seconds",
            "How old an order was when Create an Order was sent; the window is 10 s.",
            buckets=_AGE_SECONDS,
            registry=self.registry,
        )
        self.create_margin = Histogram(
            "enrich_create_margin_seconds",
            "What was left of an order's window when Create an Order was sent.",
            buckets=_MARGIN_SECONDS,
            registry=self.registry,
        )
        self.stage = Histogram(
            "enrich_stage_seconds",
            "Time that an order took to reach a stage from the one before it.",
            ["stage"],
            buckets=_STAGE_SECONDS,
            registry=self.registry,
        )
        self.calls = Counter(
            "enrich_upstream_calls",
            "Calls to BigCommerce, by what became of them.",
            ["api", "operation", "verdict"],
            registry=self.registry,
        )
        self.call_seconds = Histogram(
            "enrich_upstream_seconds",
            "Time that a call to BigCommerce took.",
            ["api", "operation"],
            buckets=_STAGE_SECONDS,
            registry=self.registry,
        )
        self.leases_lost = Counter(
            "enrich_leases_lost",
            "Jobs that another worker took over while this one was still running them.",
            registry=self.registry,
        )

    def call(self, api: str, operation: str, verdict: str, seconds: float) -> None:
        """Count a call to BigCommerce."""
        self.calls.labels(api, operation, verdict).inc()
        self.call_seconds.labels(api, operation).observe(seconds)

    def stages(self, reached: Iterable[tuple[str, float]]) -> None:
        """Count the stages of an order that has ended, with the order's age (seconds) when it reached each."""
        for (_, before), (stage, at) in pairwise(reached):
            self.stage.labels(stage).observe(max(0.0, at - before))
