"""What is counted, for Prometheus. Each process has a registry of its own; nothing is global."""

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

# The half-second steps tell the patience with Redis: two seconds at most.
_WEBHOOK_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 10.0)


class ReceiverMetrics:
    """The receiver's numbers."""

    def __init__(self, answers: tuple[str, ...]) -> None:
        """``answers`` are the values of the label ``answer``, so that each counter is there from the start."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.webhooks = Counter(
            "enrich_webhooks",
            "Webhooks by what they were answered.",
            ["answer"],
            registry=self.registry,
        )
        self.webhook_seconds = Histogram(
            "enrich_webhook_seconds",
            "Time from a webhook's first byte to its answer.",
            buckets=_WEBHOOK_SECONDS,
            registry=self.registry,
        )
        for answer in answers:
            self.webhooks.labels(answer)
