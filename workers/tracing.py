"""OpenTelemetry traces (optional): one trace for each finished order, with a span for each stage.

The stages are stored in the order's entry on the way through receiver, queue and workers, so the trace is built when
the order finishes. No trace context is passed along, and without tracing this costs nothing.

Tracing is on if OpenTelemetry is installed (the extra ``otel``) and its own environment names an endpoint:
``OTEL_EXPORTER_OTLP_ENDPOINT`` or ``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT``.
"""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING

import structlog

from service.logs import Event
from service.orders.state.order_entry import Entry, Stage, Status

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

log = structlog.get_logger()

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

# The packages of the extra `otel`, and the modules of them that are used here.
_PACKAGES = {
    "opentelemetry-sdk": "opentelemetry.sdk",
    "opentelemetry-exporter-otlp-proto-http": "opentelemetry.exporter.otlp.proto.http",
}

# The span that ends at each stage.
_SPANS = {
    Stage.WEBHOOK_SENT: "BigCommerce announces the order",
    Stage.RECEIVED: "webhook on its way",
    Stage.QUEUED: "receiver",
    Stage.PICKED_UP: "queue",
    Stage.READ: "read the order",
    Stage.SENT: "work out the values",
    Stage.ANSWERED: "write the record",
    Stage.VERIFIED: "verify",
}


class Tracer:
    """Builds the traces of orders. OpenTelemetry sends them in the background."""

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("b2b-order-enrichment")

    def trace_finished(self, entry: Entry) -> None:
        """Record the trace of a finished order."""
        from opentelemetry import trace

        created = entry.times.get(Stage.CREATED)
        if created is None:
            return  # the order could never be read
        began = created - entry.skew  # on our clock, like the other stages
        ages = [(stage, entry.age_at(stage) or 0.0) for stage in Stage if stage in entry.times]
        reached = [(stage, began + age) for stage, age in ages]
        ended = entry.ended_at or reached[-1][1]
        root = self._tracer.start_span("order", start_time=_ns(began), attributes=_attributes(entry))
        inside = trace.set_span_in_context(root)
        for (_, before), (stage, at) in pairwise(reached):
            span = self._tracer.start_span(_SPANS[stage], context=inside, start_time=_ns(before))
            span.end(end_time=_ns(max(before, at)))
        if entry.status is Status.FAILED:
            root.set_status(trace.StatusCode.ERROR, entry.reason)
        root.end(end_time=_ns(max(began, ended)))

    def close(self) -> None:
        """Send the remaining spans and shut down."""
        self._provider.shutdown()


def open_tracer(environ: Mapping[str, str] = os.environ) -> Tracer | None:
    """The tracer; None if the environment names no endpoint or OpenTelemetry is not installed."""
    if not any(environ.get(name) for name in _ENDPOINTS):
        return None
    if missing := [package for package, module in _PACKAGES.items() if not _is_installed(module)]:
        log.warning(Event.TRACING_OFF, missing=missing)
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = environ.get("OTEL_SERVICE_NAME") or "b2b-order-enrichment"
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracer(provider)


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the parent package is missing, too
        return False


def _attributes(entry: Entry) -> dict[str, str | int | bool]:
    attributes: dict[str, str | int | bool] = {
        "enrich.store": entry.store,
        "enrich.order_id": entry.order_id,
        "enrich.outcome": entry.status.value,
        "enrich.attempts": entry.attempts,
        "enrich.upstream_calls": entry.upstream_calls,
    }
    if entry.verified is not None:
        attributes["enrich.verified"] = entry.verified
    if entry.webhook_id:
        attributes["enrich.webhook_id"] = entry.webhook_id
    return attributes


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
