"""The trace of an order: built from its entry, and only if tracing is on."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from structlog.testing import capture_logs

from service.orders.state.order_entry import Entry, Stage, Status
from workers import tracing
from workers.tracing import Tracer, open_tracer

CREATED = 1_700_000_000.0
TIMES = {
    Stage.CREATED: CREATED,
    Stage.WEBHOOK_SENT: CREATED,
    Stage.RECEIVED: CREATED + 0.2,
    Stage.QUEUED: CREATED + 0.21,
    Stage.PICKED_UP: CREATED + 0.23,
    Stage.READ: CREATED + 0.4,
    Stage.SENT: CREATED + 0.5,
    Stage.ANSWERED: CREATED + 0.7,
    Stage.VERIFIED: CREATED + 1.2,
}


class Traced:
    """A tracer whose spans are kept in memory."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = Tracer(self.provider)

    def spans(self, entry: Entry) -> dict[str, ReadableSpan]:
        self.tracer.trace_finished(entry)
        return {span.name: span for span in self.exporter.get_finished_spans()}


@pytest.fixture
def traced() -> Iterator[Traced]:
    traced = Traced()
    yield traced
    traced.tracer.close()


def ended(status: Status = Status.CREATED, **keys: object) -> Entry:
    entry = Entry("abc123", 250, status, times=dict(TIMES), ended_at=CREATED + 1.25, verified=True)
    for name, value in keys.items():
        setattr(entry, name, value)
    return entry


def seconds(span: ReadableSpan) -> tuple[float, float]:
    assert span.start_time is not None
    assert span.end_time is not None
    return round(span.start_time / 1e9 - CREATED, 3), round(span.end_time / 1e9 - CREATED, 3)


def test_order_is_one_trace_with_a_span_for_each_stage(traced: Traced) -> None:
    spans = traced.spans(ended())
    assert {name: seconds(span) for name, span in spans.items()} == {
        "BigCommerce announces the order": (0.0, 0.0),
        "webhook on its way": (0.0, 0.2),
        "receiver": (0.2, 0.21),
        "queue": (0.21, 0.23),
        "read the order": (0.23, 0.4),
        "work out the values": (0.4, 0.5),
        "write the record": (0.5, 0.7),
        "verify": (0.7, 1.2),
        "order": (0.0, 1.25),
    }
    assert len({span.context.trace_id for span in spans.values()}) == 1
    root = spans.pop("order")
    assert {span.parent.span_id for span in spans.values() if span.parent} == {root.context.span_id}


def test_root_span_names_order_and_outcome_but_no_value(traced: Traced) -> None:
    root = traced.spans(ended(po_number="4711-D", fields={"Cost Center": "CC"}, webhook_id="msg_1"))["order"]
    assert root.attributes == {
        "enrich.store": "abc123",
        "enrich.order_id": 250,
        "enrich.outcome": "created",
        "enrich.attempts": 0,
        "enrich.upstream_calls": 0,
        "enrich.verified": True,
        "enrich.webhook_id": "msg_1",
    }


def test_failed_order_is_an_error_with_its_reason(traced: Traced) -> None:
    root = traced.spans(ended(Status.FAILED, reason="po_number"))["order"]
    assert (root.status.status_code, root.status.description) == (StatusCode.ERROR, "po_number")


def test_times_of_bigcommerces_clock_are_converted_to_ours(traced: Traced) -> None:
    # Their clock is five seconds ahead: their 0 was five seconds earlier on ours.
    spans = traced.spans(ended(skew=5.0, times={**TIMES, Stage.RECEIVED: CREATED - 4.8}))
    assert seconds(spans["webhook on its way"]) == (-5.0, -4.8)


def test_stage_earlier_than_the_previous_one_has_no_duration(traced: Traced) -> None:
    spans = traced.spans(ended(times={**TIMES, Stage.QUEUED: CREATED + 60}))
    assert seconds(spans["queue"]) == (60.0, 60.0)


def test_order_that_was_never_read_has_no_trace(traced: Traced) -> None:
    assert traced.spans(ended(times={Stage.RECEIVED: CREATED})) == {}


@pytest.mark.parametrize("environ", [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}])
def test_tracing_is_off_by_default(environ: dict[str, str]) -> None:
    assert open_tracer(environ) is None


@pytest.mark.parametrize(
    ("hidden", "missing"),
    [
        ("opentelemetry", ["opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"]),
        ("opentelemetry.exporter", ["opentelemetry-exporter-otlp-proto-http"]),
    ],
)
def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, hidden: str, missing: list[str]) -> None:
    def find(name: str) -> object:
        if name.startswith(f"{hidden}."):  # as find_spec does if the parent package is missing
            raise ModuleNotFoundError(name)
        return object()

    monkeypatch.setattr(tracing, "find_spec", find)
    with capture_logs() as logs:
        assert open_tracer({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}) is None
    assert logs == [{"event": "tracing_off", "log_level": "warning", "missing": missing}]


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
def test_endpoint_turns_tracing_on(name: str) -> None:
    tracer = open_tracer({name: "http://127.0.0.1:9"})
    assert tracer is not None
    tracer.close()
