"""One trace for each workflow, from whoever enqueues it to its last job."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

pytest.importorskip("opentelemetry.exporter", reason="the exporter is not installed")

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from oban_pro import Workflow, otel
from tests.support.graphs import settled, work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.fixtures import StartOban, WaitUntil

tries: list[str] = []


async def extract(context: dict[str, Any]) -> int:
    return 7


async def load(context: dict[str, Any]) -> None:
    pass


async def fail_once(context: dict[str, Any]) -> None:
    tries.append("")
    if len(tries) == 1:
        raise ValueError("not yet")


async def grow(context: dict[str, Any]) -> Workflow:
    return Workflow().add_cascade("grown", load)


@pytest.fixture
def provider() -> Iterator[TracerProvider]:
    """Provide a provider that is instrumented for the test."""
    provider = TracerProvider()
    otel.instrument(provider)
    yield provider
    otel.uninstrument()
    provider.shutdown()


@pytest.fixture
def spans(provider: TracerProvider) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tries.clear()

    return exporter


def by_job(spans: InMemorySpanExporter) -> dict[str, list[ReadableSpan]]:
    """Return the executions by the names of their jobs, in the order in which they ended."""
    found: dict[str, list[ReadableSpan]] = {}

    for span in spans.get_finished_spans():
        if span.kind is SpanKind.CONSUMER:
            found.setdefault(str((span.attributes or {}).get("oban.job.name")), []).append(span)

    return found


def ids(span: ReadableSpan) -> tuple[int, int]:
    context = span.get_span_context()
    assert context is not None

    return context.trace_id, context.span_id


def linked(span: ReadableSpan) -> set[tuple[int, int]]:
    return {(link.context.trace_id, link.context.span_id) for link in span.links}


class TestTraces:
    async def test_go_on_from_the_caller_through_nested_jobs_grafts_and_retries(
        self,
        provider: TracerProvider,
        spans: InMemorySpanExporter,
        start_oban: StartOban,
        wait_until: WaitUntil,
    ) -> None:
        node = await start_oban()
        deep = Workflow().add_cascade("deep", load)
        inner = Workflow().add_cascade("flaky", fail_once, backoff=0)
        inner.add_workflow("deeper", Workflow().add_workflow("still", deep))
        workflow = (
            Workflow(name="etl")
            .add_cascade("extract", extract)
            .add_workflow("inner", inner, deps="extract")
            .add_cascade("rows", ([1, 2, 3], square), deps="extract")
            .add_graft("grow", grow, deps="inner")
            .add_cascade("load", load, deps=["rows", "grow"])
        )
        tracer = provider.get_tracer("caller")

        with tracer.start_as_current_span("request") as request:
            await node.enqueue_many(workflow)

        await wait_until(lambda: settled(workflow), timeout=30)
        await wait_until(lambda: len(by_job(spans).get("load", [])) == 1)
        executions = by_job(spans)
        trace_id = request.get_span_context().trace_id

        assert {ids(span)[0] for span in spans.get_finished_spans()} == {trace_id}
        (enqueued,) = [one for one in spans.get_finished_spans() if one.kind is SpanKind.PRODUCER]
        assert enqueued.name == "enqueue etl"
        assert enqueued.parent == request.get_span_context()

        for many in executions.values():
            for one in many:
                assert one.parent is not None
                assert (one.parent.trace_id, one.parent.span_id) == ids(enqueued)

        first, second = executions["flaky"]
        assert first.status.status_code is StatusCode.ERROR
        assert second.status.status_code is StatusCode.UNSET
        assert second.attributes is not None
        assert second.attributes["oban.job.state"] == "completed"
        assert linked(first) == linked(second) == {ids(executions["extract"][0])}
        assert linked(executions["grow"][0]) == {ids(second), ids(executions["deep"][0])}
        assert {ids(executions[str(n)][0]) for n in range(3)} < linked(executions["load"][0])

    async def test_are_continued_by_what_is_appended(
        self, spans: InMemorySpanExporter, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        node = await start_oban()
        workflow = Workflow(id="one").add_cascade("extract", extract)
        await node.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        addition = Workflow(check_deps=False).add_cascade("load", load, deps="extract")
        await workflow.append(addition)
        await wait_until(lambda: "load" in by_job(spans))

        (extracted,), (loaded,) = by_job(spans)["extract"], by_job(spans)["load"]
        assert ids(extracted)[0] == ids(loaded)[0]
        assert linked(loaded) == {ids(extracted)}

    async def test_make_the_span_of_an_execution_the_current_one_in_threads_too(
        self, spans: InMemorySpanExporter, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        node = await start_oban()
        workflow = Workflow().add_cascade("look", look)
        await node.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))

        (span,) = by_job(spans)["look"]
        assert await workflow.get_recorded("look") == format(ids(span)[1], "016x")

    async def test_stop_at_uninstrument_and_leave_nothing_in_jobs(
        self, spans: InMemorySpanExporter, start_oban: StartOban, wait_until: WaitUntil
    ) -> None:
        otel.uninstrument()
        node = await start_oban()
        workflow = Workflow().add("one", work("one"))
        await node.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow))
        job = await workflow.get_job("one")

        assert spans.get_finished_spans() == ()
        assert job is not None
        assert "traceparent" not in job.meta


class Collector(BaseHTTPRequestHandler):
    """Takes what an exporter sends."""

    received: ClassVar[list[ExportTraceServiceRequest]] = []

    def do_POST(self) -> None:
        request = ExportTraceServiceRequest()
        request.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
        self.received.append(request)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


async def test_traces_arrive_at_a_collector(
    provider: TracerProvider, start_oban: StartOban, wait_until: WaitUntil
) -> None:
    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v1/traces"
        provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(url)))
        node = await start_oban()
        workflow = Workflow(name="sent").add_cascade("extract", extract)
        await node.enqueue_many(workflow)

        def names() -> set[str]:
            return {
                span.name
                for request in Collector.received
                for resource in request.resource_spans
                for scope in resource.scope_spans
                for span in scope.spans
            }

        await wait_until(lambda: len(names()) == 2)
        server.shutdown()

    assert "enqueue sent" in names()


def look(context: dict[str, Any]) -> str:
    return format(trace.get_current_span().get_span_context().span_id, "016x")


async def square(item: int, context: dict[str, Any]) -> int:
    return item * item
