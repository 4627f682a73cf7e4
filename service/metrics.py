"""Counters and histograms for Prometheus. Each process has its own registry; nothing is global."""

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

# The half-second steps show the timeout for Redis, which is two seconds at most.
_WEBHOOK_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 10.0)
# The window is ten seconds long: even steps over it, and finer ones where most orders are.
_AGE_SECONDS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 12.0)
_MARGIN_SECONDS = (-2.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 8.5, 9.0, 9.25, 9.5, 9.75, 10.0)
_STAGE_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 2.0, 3.0, 5.0, 10.0)


class _Metrics:
    """A registry with the metrics of the process itself (memory, CPU, open files)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(_LogLines())

    def text(self) -> bytes:
        """All metrics in Prometheus's text format."""
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
    """The receiver's metrics."""

    def __init__(self, answers: Iterable[str]) -> None:
        """``answers`` are all values of the label ``answer``, so that each counter exists from the start."""
        super().__init__()
        webhooks = Counter(
            "enrich_webhooks",
            "Webhooks by answer.",
            ["answer"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "enrich_webhook_seconds",
            "Time from the first byte of a webhook to its answer.",
            buckets=_WEBHOOK_SECONDS,
            registry=self.registry,
        )
        self._webhooks = {answer: webhooks.labels(answer) for answer in answers}

    def answered(self, answer: str, seconds: float) -> None:
        """Count a webhook by its answer and duration."""
        self._webhooks[answer].inc()
        self._seconds.observe(seconds)


class WorkerMetrics(_Metrics):
    """A worker's own metrics. ``service.gauges`` reads from Redis what all workers share."""

    def __init__(self) -> None:
        super().__init__()
        self.orders = Counter(
            "enrich_orders",
            "Finished orders by outcome.",
            ["store", "outcome"],
            registry=self.registry,
        )
        self.window_orders = Counter(
            "enrich_window_orders",
            "Enriched orders whose window is known, by whether our Create was inside it.",
            ["store", "in_window"],
            registry=self.registry,
        )
        self.creates = Counter(
            "enrich_creates",
            "Records that our Create made, by the API that it was sent over.",
            ["store", "via"],
            registry=self.registry,
        )
        self.create_age = Histogram(
            "enrich_create_age_seconds",
            "Age of an order when Create an Order was sent. The window is 10 s.",
            buckets=_AGE_SECONDS,
            registry=self.registry,
        )
        self.create_margin = Histogram(
            "enrich_create_margin_seconds",
            "Time left in an order's window when Create an Order was sent.",
            buckets=_MARGIN_SECONDS,
            registry=self.registry,
        )
        self.stage = Histogram(
            "enrich_stage_seconds",
            "Time from an order's previous stage to this one.",
            ["stage"],
            buckets=_STAGE_SECONDS,
            registry=self.registry,
        )
        self._calls: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        self.calls = Counter(
            "enrich_upstream_calls",
            "Calls to BigCommerce by result.",
            ["api", "operation", "verdict"],
            registry=self.registry,
        )
        self.call_seconds = Histogram(
            "enrich_upstream_seconds",
            "Duration of a call to BigCommerce.",
            ["api", "operation"],
            buckets=_STAGE_SECONDS,
            registry=self.registry,
        )
        self.leases_lost = Counter(
            "enrich_leases_lost",
            "Jobs that another worker took over while this one was still running them.",
            registry=self.registry,
        )

        self.notifications = Counter(
            "enrich_notifications",
            "Attempts to deliver a message of [notify], by channel and result.",
            ["channel", "result"],
            registry=self.registry,
        )

    def notification(self, channel: str, result: str) -> None:
        """Count an attempt to deliver a message: sent, failed (it is tried again) or dropped."""
        self.notifications.labels(channel, result).inc()

    def call(self, api: str, operation: str, verdict: str, seconds: float) -> None:
        """Count a call to BigCommerce by its result and duration."""
        labels = api, operation, verdict
        # The library finds a labelled metric under a lock, which costs more than to count.
        found = self._calls.get(labels)
        if found is None:
            found = self._calls[labels] = self.calls.labels(*labels), self.call_seconds.labels(api, operation)
        calls, duration = found
        calls.inc()
        duration.observe(seconds)

    def stages(self, reached: Iterable[tuple[str, float]]) -> None:
        """Count the stages of a finished order, each with the order's age in seconds when it reached it."""
        for (_, before), (stage, at) in pairwise(reached):
            self.stage.labels(stage).observe(max(0.0, at - before))
