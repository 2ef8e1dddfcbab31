"""Spans and metrics of exchanges, as the SDK's own exporters and a collector receive them."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer

import anthropic
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as conventions
from opentelemetry.trace import SpanKind, StatusCode

import farthing
from farthing.compose import running_gateway
from farthing.compose.telemetry import open_telemetry
from farthing.config import Settings
from farthing.core.records import Held, Outcome
from farthing.core.subscription import SUBSCRIPTION_NOTE
from farthing.errors import ConfigError
from farthing.lab.emulator import emulator
from farthing.ledger import MemoryLedger, SqliteLedger
from farthing.telemetry.exporting import Exporter, sdk_exporter
from farthing.telemetry.ledger import TelemetryLedger
from farthing.wire.usage import Usage
from tests.contract.exchanges import (
    COST,
    NOON,
    attribution,
    failed,
    opened,
    released,
    settled,
    unsettled,
)

MODEL = "claude-opus-4-5"
HELLO = "hello, a very secret greeting"


@dataclass
class Heard:
    """What came out at the other end."""

    ledger: TelemetryLedger
    exporter: Exporter
    spans_out: InMemorySpanExporter
    metrics_out: InMemoryMetricReader

    @property
    def spans(self):
        return self.spans_out.get_finished_spans()

    def points(self, name: str):
        data = self.metrics_out.get_metrics_data()
        found = [] if data is None else data.resource_metrics
        return [
            point
            for resource in found
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@pytest.fixture
def heard() -> Iterator[Heard]:
    spans, metrics = InMemorySpanExporter(), InMemoryMetricReader()
    exporter = sdk_exporter(SimpleSpanProcessor(spans), metrics, version="1")
    yield Heard(TelemetryLedger(MemoryLedger(), exporter), exporter, spans, metrics)
    exporter.close()


def end(heard, exchange_id="x", ending=None, **given):
    heard.ledger.open(opened(exchange_id, **given))
    heard.ledger.settle(ending or settled(exchange_id))


def test_a_span_has_the_names_kind_and_times_of_the_conventions(heard):
    end(heard)

    [span] = heard.spans
    assert (span.name, span.kind) == ("chat claude-opus-5-5", SpanKind.CLIENT)
    assert span.status.status_code is StatusCode.UNSET
    assert span.start_time == 1_795_262_400_123_456_000
    assert span.end_time - span.start_time == 3_000_000_000
    assert span.resource.attributes["service.name"] == "farthing"
    known = {getattr(conventions, name) for name in dir(conventions) if name.startswith("GEN_AI_")}
    used = {name for name in span.attributes if name.startswith("gen_ai.")}
    assert used <= known
    assert span.attributes["gen_ai.operation.name"] == "chat"
    assert span.attributes["gen_ai.provider.name"] == "anthropic"
    assert span.attributes["gen_ai.request.model"] == "claude-opus-5-5"
    assert span.attributes["gen_ai.response.finish_reasons"] == ("end_turn",)
    assert span.attributes["gen_ai.conversation.id"] == "s1"
    assert span.attributes["farthing.cost_usd"] == "0.000000000021"
    assert span.attributes["farthing.saved_usd"] == "0.000000000009"


def test_input_tokens_include_the_cached_ones_which_are_parts_of_them(heard):
    """10 uncached, 20 + 30 written, 40 read."""
    end(heard)

    found = heard.spans[0].attributes
    assert found["gen_ai.usage.input_tokens"] == 100
    assert found["gen_ai.usage.cache_read.input_tokens"] == 40
    assert found["gen_ai.usage.cache_creation.input_tokens"] == 50
    assert found["gen_ai.usage.output_tokens"] == 50
    assert found["gen_ai.usage.reasoning.output_tokens"] == 5


def test_metrics_count_the_same_tokens_once(heard):
    end(heard, "a")
    end(heard, "b")

    sums = {
        p.attributes["gen_ai.token.type"]: p.sum for p in heard.points("gen_ai.client.token.usage")
    }
    assert sums == {"input": 200, "output": 100}
    [seconds] = heard.points("gen_ai.client.operation.duration")
    assert (seconds.count, seconds.sum) == (2, 6.0)
    [first] = heard.points("gen_ai.client.operation.time_to_first_chunk")
    assert (first.count, first.sum) == (2, pytest.approx(1.8))
    [cost] = heard.points("farthing.cost")
    assert cost.value == pytest.approx(2 * COST.total / 1e12)
    assert set(cost.attributes) == {
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.response.model",
    }


def test_an_end_said_twice_is_told_once(heard):
    end(heard)
    heard.ledger.settle(settled("x"))
    heard.ledger.settle(settled("x", ended_at=NOON, usage=Usage(output=9)))

    assert len(heard.spans) == 1


def test_a_failed_attempt_has_a_span_and_no_tokens_and_the_retry_has_them_once(heard):
    end(heard, ending=failed("x"))
    end(heard, ending=settled("x", attempts=2), attempt=2)

    first, second = heard.spans
    assert first.status.status_code is StatusCode.ERROR
    assert first.attributes["error.type"] == "overloaded_error"
    assert [span.attributes["farthing.attempt"] for span in (first, second)] == [1, 2]
    assert first.attributes["gen_ai.usage.input_tokens"] == 0
    sums = [point.sum for point in heard.points("gen_ai.client.token.usage")]
    assert sorted(sums) == [50, 100]


def test_an_interval_has_no_usage_until_it_is_settled(heard):
    end(heard, ending=unsettled("x", low=1, high=2 * 10**12, usage=Usage(uncached=7)))
    assert heard.points("gen_ai.client.token.usage") == []
    heard.ledger.settle(settled("x"))

    first, second = heard.spans
    assert "gen_ai.usage.input_tokens" not in first.attributes
    assert first.attributes["error.type"] == "unsettled"
    assert first.attributes["farthing.cost_high_usd"] == "2"
    assert second.attributes["gen_ai.usage.input_tokens"] == 100


def test_what_was_never_sent_is_an_error_of_its_own(heard):
    end(heard, ending=released("x"), model_asked=None)

    [span] = heard.spans
    assert (span.name, span.attributes["error.type"]) == ("chat", "released")


def test_a_model_that_never_answered_is_no_label_of_a_metric(heard):
    end(heard, ending=failed("x"), model_asked="made-up-by-a-client")

    [point] = heard.points("gen_ai.client.operation.duration")
    assert "gen_ai.request.model" not in point.attributes


def test_other_endpoints_are_not_told(heard):
    end(heard, endpoint="count_tokens")

    assert heard.spans == ()


def test_unpriced_is_no_cost_at_all(heard):
    end(heard, ending=settled("x", cost=None, baseline_pico=None, rate_card_id=None))

    assert "farthing.cost_usd" not in heard.spans[0].attributes
    assert heard.points("farthing.cost") == []


def test_codes_and_names_are_said_and_no_credential(heard):
    end(
        heard,
        ending=settled("x", notes=(SUBSCRIPTION_NOTE,)),
        attribution=attribution(key_scope="digest-of-a-key"),
    )

    [span] = heard.spans
    assert span.attributes["farthing.notes"] == (SUBSCRIPTION_NOTE,)
    assert "digest-of-a-key" not in str(dict(span.attributes))


def test_the_operator_may_name_the_service(monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "agents")
    spans = InMemorySpanExporter()
    exporter = sdk_exporter(SimpleSpanProcessor(spans), InMemoryMetricReader(), version="1")
    ledger = TelemetryLedger(MemoryLedger(), exporter)
    ledger.open(opened("x"))
    ledger.settle(settled("x"))
    exporter.close()

    assert spans.get_finished_spans()[0].resource.attributes["service.name"] == "agents"


def test_what_is_switched_off_is_the_very_ledger_and_loads_nothing(tmp_path):
    code = (
        "import sys; from farthing.compose.telemetry import open_telemetry\n"
        "from farthing.config import Settings; from farthing.ledger import MemoryLedger\n"
        "ledger = MemoryLedger()\n"
        "with open_telemetry(Settings(), ledger) as found: assert found is ledger\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert printed.stdout == "[]\n"


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "farthing.telemetry.exporting", None)

    with (
        pytest.raises(ConfigError, match=r"pip install 'farthing\[otel\]'"),
        open_telemetry(Settings(otel=True), MemoryLedger()),
    ):
        pass


def test_everything_else_is_passed_on(heard):
    """What a ledger promises it still does behind the listener."""
    ledger = heard.ledger
    kept = ledger.hold("task:t1", 5, 10, reservation_id="r1", now=NOON)
    ledger.release("r1")
    ledger.open(opened("x"))
    ledger.outcome("t1", Outcome(outcome="passed"))

    assert kept == Held(reservation_id="r1", amount_pico=5)
    assert [row.outcome for row in ledger.rows()] == ["passed"]
    assert ledger.recover(NOON).unsettled == 0
    ledger.close()


def test_an_end_too_old_to_be_remembered_is_still_told_once(heard, monkeypatch):
    """A ledger keeps one end of an attempt; the memory only spares asking."""
    monkeypatch.setattr("farthing.telemetry.ledger._REMEMBERED", 1)
    for name in ("a", "b"):
        end(heard, name)

    assert len(heard.spans) == 2


def test_telemetry_that_fails_leaves_the_ledger_alone(caplog):
    class Broken:
        def ended(self, row):
            raise OSError("no collector")

    ledger = TelemetryLedger(MemoryLedger(), Broken())
    ledger.open(opened("x"))
    ledger.settle(settled("x"))

    row = ledger.row("x")
    assert row is not None
    assert row.state == "settled"
    assert "telemetry failed" in caplog.text


# -- through the gateway, to a collector ---------------------------------------------------------


class Collector(HTTPServer):
    """Keeps what is posted to it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), CollectorHandler)
        self.posted: list[tuple[str, bytes]] = []


class CollectorHandler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:  # the name is the standard library's
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.posted.append((self.path, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's name
        """Quiet."""


@pytest.fixture
def collector(monkeypatch) -> Iterator[Collector]:
    server = Collector()
    job = threading.Thread(target=server.serve_forever, daemon=True)
    job.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    job.join()
    server.server_close()


def received_spans(collector: Collector) -> list[Span]:
    return [
        span
        for path, body in collector.posted
        if path == "/v1/traces"
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def test_a_collector_receives_what_the_gateway_did_and_no_prompt(collector, tmp_path):
    with emulator() as upstream:
        settings = Settings(
            upstream=upstream.url, port=0, ledger=str(tmp_path / "ledger.db"), otel=True
        )
        with (
            running_gateway(settings) as gateway,
            anthropic.Anthropic(base_url=gateway.url, api_key="sk-emu-acme") as claude,
        ):
            message = claude.messages.create(
                model=MODEL, max_tokens=50, messages=[{"role": "user", "content": HELLO}]
            )

    metrics = {
        metric.name
        for path, body in collector.posted
        if path == "/v1/metrics"
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    [span] = received_spans(collector)
    found = {each.key: each.value for each in span.attributes}
    assert span.name == f"chat {MODEL}"
    assert found["gen_ai.usage.output_tokens"].int_value == message.usage.output_tokens
    assert found["gen_ai.response.id"].string_value == message.id
    assert {"gen_ai.client.token.usage", "gen_ai.client.operation.duration"} <= metrics
    assert not any(HELLO.encode() in body or b"sk-emu" in body for _, body in collector.posted)


def test_a_collector_receives_what_the_sdk_middleware_did(collector, monkeypatch, tmp_path):
    monkeypatch.setenv("FARTHING_OTEL", "on")
    with (
        emulator() as claude,
        farthing.Farthing(ledger=tmp_path / "ledger.db") as middleware,
        anthropic.Anthropic(
            base_url=claude.url, api_key=claude.api_key, middleware=[middleware]
        ) as client,
        farthing.task("greet", task_id="t1") as task,
    ):
        message = client.messages.create(
            model=MODEL, max_tokens=50, messages=[{"role": "user", "content": HELLO}]
        )
        middleware.close()

    [span] = received_spans(collector)
    found = {each.key: each.value for each in span.attributes}
    assert found["gen_ai.usage.output_tokens"].int_value == message.usage.output_tokens
    assert found["farthing.task_type"].string_value == "greet"
    assert found["farthing.cost_usd"].string_value == f"{task.cost_usd.normalize():f}"
    assert not any(HELLO.encode() in body for _, body in collector.posted)


def test_a_middleware_without_the_extra_says_so_and_lets_go_of_the_ledger(monkeypatch, tmp_path):
    monkeypatch.setenv("FARTHING_OTEL", "on")
    monkeypatch.setitem(sys.modules, "farthing.telemetry.exporting", None)

    with pytest.raises(ConfigError, match=r"pip install 'farthing\[otel\]'"):
        farthing.Farthing(ledger=tmp_path / "ledger.db")

    SqliteLedger(tmp_path / "ledger.db").close()
