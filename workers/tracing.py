"""Traces, for those who want them: one for each order that has ended, with a span for each stage on its way.

An order's stages are noted in its entry as it goes, through the receiver, the queue and whichever workers take it up,
so its trace is put together at the end: nothing has to be carried along, and without tracing nothing is done at all.

It is on where OpenTelemetry is installed (the extra ``otel``) and its own environment says
where to: ``OTEL_EXPORTER_OTLP_ENDPOINT`` or ``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT``.
"""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING

import structlog

from service.logs import Event
from service.orders.state.entry import Entry, Stage, Status

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

log = structlog.get_logger()

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

# What the extra `otel` installs, and what of it is needed here.
_PACKAGES = {
    "opentelemetry-sdk": "opentelemetry.sdk",
    "opentelemetry-exporter-otlp-proto-http": "opentelemetry.exporter.otlp.proto.http",
}

# What happens on the way to each stage.
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
    """Puts the traces of orders together and hands them to OpenTelemetry, which sends them in the background."""

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("b2b-order-enrichment")

    def order_ended(self, entry: Entry) -> None:
        """The trace of an order that has ended. Times are as its stages were noted, in Unix seconds."""
        from opentelemetry import trace

        created = entry.times.get(Stage.CREATED)
        if created is None:
            return  # nobody could read the order
        began = created - entry.skew  # on our clock, as all that follows
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
        """Send what has not been sent yet."""
        self._provider.shutdown()


def open_tracer(environ: Mapping[str, str] = os.environ) -> Tracer | None:
    """The tracer that the environment asks for; None where it asks for none, or OpenTelemetry is not installed."""
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
    except ModuleNotFoundError:  # not even what it is part of
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
