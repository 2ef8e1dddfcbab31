"""Telemetry, where it is switched on; nothing of it is imported where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from farthing.config import Settings
from farthing.driver.ports import Ledger
from farthing.errors import ConfigError
from farthing.version import VERSION

__all__ = ["open_telemetry"]


@contextmanager
def open_telemetry(settings: Settings, ledger: Ledger) -> Iterator[Ledger]:
    """The ledger to record in: one that is listened to, or the very ledger."""
    if not settings.otel:
        yield ledger
        return
    try:
        # An optional extra, and heavy.
        from farthing.telemetry.exporting import otlp_exporter  # noqa: PLC0415
        from farthing.telemetry.ledger import TelemetryLedger  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            "gateway.otel needs the OpenTelemetry SDK: pip install 'farthing[otel]', or switch it"
            " off"
        ) from error
    exporter = otlp_exporter(VERSION)
    try:
        yield TelemetryLedger(ledger, exporter)
    finally:
        exporter.close()
