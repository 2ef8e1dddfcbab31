"""Spans and metrics through the OpenTelemetry SDK; where they go is the SDK's own environment.

Theory of operation. A span is made when an exchange has ended, with the times of the record, and
handed to the SDK's batch processor; its thread sends it by OTLP over HTTP. Nothing on the way of a
call waits for a collector, and one that is not there costs spans, not calls.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from opentelemetry.metrics import MeterProvider
from opentelemetry.sdk.metrics import MeterProvider as SdkMeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, TracerProvider

from farthing.core.records import ExchangeRow
from farthing.pricing.money import PICO_PER_USD
from farthing.telemetry.attributes import attributes, labels, span_name

__all__ = ["Exporter", "otlp_exporter", "sdk_exporter"]

_SCOPE: Final = "farthing"
#: how the SDK calls a service that nobody named
_NAMELESS: Final = "unknown_service"
#: the conventions' advice
_TOKEN_BOUNDS: Final = tuple(4**power for power in range(14))
_SECOND_BOUNDS: Final = tuple(0.01 * 2**power for power in range(14))


class Exporter:
    """Tells of each exchange once it has ended."""

    def __init__(self, tracers: TracerProvider, meters: MeterProvider) -> None:
        self._providers = (tracers, meters)
        self._tracer = tracers.get_tracer(_SCOPE)
        meter = meters.get_meter(_SCOPE)
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=_TOKEN_BOUNDS,
        )
        self._seconds = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="GenAI operation duration.",
            explicit_bucket_boundaries_advisory=_SECOND_BOUNDS,
        )
        self._first = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            unit="s",
            description="Time to receive the first chunk of a stream.",
            explicit_bucket_boundaries_advisory=_SECOND_BOUNDS,
        )
        self._cost = meter.create_counter(
            "farthing.cost", unit="{USD}", description="What settled exchanges cost."
        )

    def ended(self, row: ExchangeRow) -> None:
        """A span, and what the metrics count."""
        self._span(row)
        self._count(row)

    def close(self) -> None:
        """Send what is waiting; the SDK bounds how long that takes."""
        for provider in self._providers:
            shutdown = getattr(provider, "shutdown", None)  # the API's own providers have none
            if shutdown is not None:
                shutdown()

    def _span(self, row: ExchangeRow) -> None:
        ending = row.settlement
        assert ending is not None, "only what has ended is told"
        found = attributes(row)
        span = self._tracer.start_span(
            span_name(row),
            kind=SpanKind.CLIENT,
            attributes=found,
            start_time=_nanoseconds(row.opened.opened_at),
        )
        if "error.type" in found:
            span.set_status(Status(StatusCode.ERROR))
        span.end(_nanoseconds(ending.ended_at))

    def _count(self, row: ExchangeRow) -> None:
        ending, found = row.settlement, labels(row)
        assert ending is not None, "only what has ended is told"
        self._seconds.record(ending.total_us / 1e6, found)
        if row.opened.is_streamed and ending.ttft_us is not None:
            self._first.record(ending.ttft_us / 1e6, found)
        usage = ending.usage
        if ending.state != "settled" or usage is None or ending.error_type is not None:
            return
        self._tokens.record(usage.prompt, found | {"gen_ai.token.type": "input"})
        self._tokens.record(usage.output, found | {"gen_ai.token.type": "output"})
        if ending.cost is not None:
            self._cost.add(ending.cost.total / PICO_PER_USD, found)


def otlp_exporter(version: str) -> Exporter:
    """An exporter to where the ``OTEL_EXPORTER_OTLP_*`` variables say."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import (  # noqa: PLC0415 -- heavy
        OTLPMetricExporter,
    )
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 -- heavy
        OTLPSpanExporter,
    )

    return sdk_exporter(
        BatchSpanProcessor(OTLPSpanExporter()),
        PeriodicExportingMetricReader(OTLPMetricExporter()),
        version=version,
    )


def sdk_exporter(spans: SpanProcessor, metrics: MetricReader, *, version: str) -> Exporter:
    """An exporter over the SDK; ``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES`` count."""
    found = Resource.create({SERVICE_VERSION: version})
    if str(found.attributes[SERVICE_NAME]).startswith(_NAMELESS):
        found = found.merge(Resource({SERVICE_NAME: _SCOPE}))
    tracers = SdkTracerProvider(resource=found)
    tracers.add_span_processor(spans)
    return Exporter(tracers, SdkMeterProvider(metric_readers=[metrics], resource=found))


def _nanoseconds(instant: datetime) -> int:
    """Exact: a float of seconds would be off by hundreds."""
    delta = instant - datetime(1970, 1, 1, tzinfo=UTC)
    return ((delta.days * 86_400 + delta.seconds) * 10**6 + delta.microseconds) * 1_000
