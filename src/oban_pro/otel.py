"""Traces for OpenTelemetry: one for each workflow, from enqueueing to its last job.

Install the extra, and call `instrument` once in every process that enqueues or runs jobs::

    pip install "oban-workflows[otel]"

    from oban_pro import otel

    otel.instrument()
"""

from __future__ import annotations

import hashlib
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import UTC
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.trace import (
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from oban_pro import telemetry
from oban_pro._plugin import executions
from oban_pro.engine.session import session_for
from oban_pro.engine.trace_statements import TracedExecution
from oban_pro.model import meta

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from oban import Job
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer, TracerProvider

    from oban_pro._host import Executor

__all__ = ["MAX_LINKS", "instrument", "uninstrument"]

MAX_LINKS = 128
"""How many upstream executions a span links to: the default limit of OpenTelemetry."""

_propagator = TraceContextTextMapPropagator()
_span_id: ContextVar[int] = ContextVar("oban_pro_span_id", default=0)


def instrument(tracer_provider: TracerProvider | None = None) -> None:
    """Trace workflows: where they are enqueued, and every execution of their jobs.

    Enqueueing is a span in the trace of whoever enqueues, and every execution of a job of that
    workflow is a child of it, on any node that is instrumented, retries and grafts included. An
    execution links to the executions that it depends on, up to 128 of them. Reading those takes
    one statement for each execution whose trace is sampled.

    The jobs carry the trace in their meta, as ``traceparent`` and ``tracestate`` of W3C.
    Calling it again replaces the provider.

    Args:
        tracer_provider: Where spans go; None for OpenTelemetry's global provider.

    Example:
        >>> from opentelemetry.sdk.trace import TracerProvider
        >>> instrument(TracerProvider())
    """
    tracing = _Tracing(trace.get_tracer("oban_pro", tracer_provider=tracer_provider))
    telemetry.trace_with(tracing)
    executions.observe(tracing.execution)


def uninstrument() -> None:
    """Stop tracing. Spans that have begun end as usual.

    Example:
        >>> uninstrument()
    """
    telemetry.trace_with(None)
    executions.observe(None)


def _span_id_of(execution: TracedExecution) -> int:
    """Compute the id of an execution's span, as executions that link to it do."""
    job_id, attempt, stamp, carried = execution
    naive = stamp.astimezone(UTC).replace(tzinfo=None) if stamp and stamp.tzinfo else stamp
    key = f"{carried}/{job_id}/{attempt}/{naive}"

    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) or 1


class _ChosenIds:
    """Draws ids as the provider's generator does, but for a span whose id has been chosen."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def __getattr__(self, name: str) -> Any:
        return getattr(self._generator, name)

    def generate_span_id(self) -> int:
        chosen: int = _span_id.get() or self._generator.generate_span_id()

        return chosen


class _Tracing:
    """Begins and ends spans."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        generator = getattr(tracer, "id_generator", None)
        # Other SDKs choose ids in their own way, so no other process could compute that of a span.
        self._links = generator is not None

        if generator is not None:
            tracer.id_generator = _ChosenIds(generator)  # type: ignore[attr-defined]

    def enqueue(self, workflow_id: str, name: str | None, jobs: int) -> Mapping[str, str]:
        """Record that a workflow is enqueued; returns what its jobs carry."""
        attributes: dict[str, str | int] = {
            "messaging.system": "oban",
            "messaging.operation.type": "send",
            "messaging.batch.message_count": jobs,
            "oban.workflow.id": workflow_id,
        }

        if name is not None:
            attributes["oban.workflow.name"] = name

        carried: dict[str, str] = {}

        with self._tracer.start_as_current_span(
            f"enqueue {name or 'workflow'}", kind=SpanKind.PRODUCER, attributes=attributes
        ):
            _propagator.inject(carried)

        return carried

    @asynccontextmanager
    async def execution(self, executor: Executor) -> AsyncIterator[None]:
        """Record an execution; the worker finds the span as the current one."""
        job = executor.job
        parent = _propagator.extract(job.meta)
        span = self._begin(job, parent)

        with trace.use_span(
            span, end_on_exit=True, record_exception=False, set_status_on_exception=False
        ):
            try:
                if self._links and span.is_recording() and meta.workflow_id(job) is not None:
                    await _link(span, job)

                yield
            finally:
                _finish(span, executor)

    def _begin(self, job: Job, parent: Context) -> Span:
        carried = job.meta.get("traceparent")
        execution = TracedExecution(job.id or 0, job.attempt, job.attempted_at, carried)
        token = _span_id.set(_span_id_of(execution) if carried else 0)

        try:
            return self._tracer.start_span(
                f"process {job.meta.get(meta.HANDLER) or job.worker}",
                context=parent,
                kind=SpanKind.CONSUMER,
                attributes=_attributes(job),
            )
        finally:
            _span_id.reset(token)


def _attributes(job: Job) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "messaging.system": "oban",
        "messaging.operation.type": "process",
        "messaging.destination.name": job.queue,
        "messaging.message.id": str(job.id),
        "oban.job.worker": job.worker,
        "oban.job.attempt": job.attempt,
        "oban.job.max_attempts": job.max_attempts,
    }

    for attribute, key in (
        ("oban.workflow.id", meta.WORKFLOW_ID),
        ("oban.workflow.name", meta.WORKFLOW_NAME),
        ("oban.job.name", meta.NAME),
    ):
        if isinstance(value := job.meta.get(key), str):
            attributes[attribute] = value

    return attributes


async def _link(span: Span, job: Job) -> None:
    """Link a span to the executions that its job depends on; tracing never fails a job."""
    try:
        upstream = await session_for(job).read(
            lambda store: store.upstream_executions(job.id or 0, MAX_LINKS)
        )
    except Exception as error:
        span.add_event("oban.links_unread", {"exception.message": str(error)})

        return

    for execution in upstream:
        carried = {"traceparent": execution.traceparent or ""}
        around = trace.get_current_span(_propagator.extract(carried)).get_span_context()

        if around.is_valid:
            span.add_link(
                SpanContext(
                    around.trace_id,
                    _span_id_of(execution),
                    is_remote=True,
                    trace_flags=TraceFlags(around.trace_flags),
                    trace_state=around.trace_state,
                )
            )


def _finish(span: Span, executor: Executor) -> None:
    if executor.status is not None:
        span.set_attribute("oban.job.state", executor.status)

    result: object = executor.result

    if isinstance(result, BaseException):
        span.record_exception(result)
        span.set_status(Status(StatusCode.ERROR, str(result)))
