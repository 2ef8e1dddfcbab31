"""What a gateway is made of before its event loop runs, and all that its settings can get wrong."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from farthing.compose.engine import exchange_setup
from farthing.compose.place import install_key, ledger_path
from farthing.compose.telemetry import open_telemetry
from farthing.config import Settings
from farthing.core.exchange_prepare import Setup
from farthing.driver.ports import Ledger
from farthing.driver.system import SystemClock
from farthing.errors import ConfigError
from farthing.gateway.credentials import Credentials
from farthing.gateway.metrics import Metrics
from farthing.gateway.record_files import RecordFiles
from farthing.gateway.recording import Recorder
from farthing.ledger import SqliteLedger
from farthing.pricing import Catalog
from farthing.traces.redact import Redactor
from farthing.transport.upstream import UpstreamSettings, check_upstream
from farthing.version import VERSION

__all__ = ["Parts", "open_parts"]

_KEY_BYTES: Final = 32
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What exists before the event loop does, and all that settings can get wrong."""

    settings: Settings
    ledger: SqliteLedger
    metrics: Metrics
    exchange_setup: Setup
    credentials: Credentials
    upstream: UpstreamSettings
    recorder: Recorder | None
    #: where exchanges are recorded: the ledger itself, or one that telemetry listens to
    records: Ledger


@contextmanager
def open_parts(settings: Settings, prices: Catalog) -> Iterator[Parts]:
    """The parts, the ledger recovered and open; all of it is let go of at the end."""
    credentials = Credentials(_own_key(settings))
    upstream = _upstream_settings(settings)
    check_upstream(upstream)
    with _open_ledger(settings) as ledger, open_telemetry(settings, ledger) as records:
        recorder = _recorder(settings)
        try:
            yield Parts(
                settings=settings,
                ledger=ledger,
                metrics=Metrics(),
                exchange_setup=_exchange_setup(settings, prices),
                credentials=credentials,
                upstream=upstream,
                recorder=recorder,
                records=records,
            )
        finally:
            if recorder is not None:
                recorder.close()


@contextmanager
def _open_ledger(settings: Settings) -> Iterator[SqliteLedger]:
    ledger = SqliteLedger(ledger_path(settings))
    try:
        ledger.recover(SystemClock().now())
        yield ledger
    finally:
        ledger.close()


def _upstream_settings(settings: Settings) -> UpstreamSettings:
    return UpstreamSettings(
        url=settings.upstream,
        connect_seconds=settings.connect_seconds,
        silence_seconds=settings.silence_seconds or None,
        trust_env=settings.trust_env,
    )


def _exchange_setup(settings: Settings, prices: Catalog) -> Setup:
    return exchange_setup(settings, install_key=install_key(ledger_path(settings)), prices=prices)


def _recorder(settings: Settings) -> Recorder | None:
    if settings.record is None:
        return None
    mode = settings.record_redaction
    files = RecordFiles(
        Path(settings.record),
        redaction=mode,
        cap_bytes=settings.record_cap,
        writer=f"farthing {VERSION}",
    )
    redactor = None if mode == "none" else Redactor(secrets.token_bytes(_KEY_BYTES), mode)
    return Recorder(files, redactor=redactor)


def _own_key(settings: Settings) -> str | None:
    """The gateway's own key; whoever reaches the port spends it."""
    key = settings.api_key
    if settings.api_key_file is not None:
        try:
            key = Path(settings.api_key_file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise ConfigError(f"cannot read the key in {settings.api_key_file!r}: {why}") from error
    if key is not None and settings.host not in _LOOPBACK:
        raise ConfigError(
            f"a key of the gateway's own and the address {settings.host!r} would let anybody on "
            "the network spend it; bind to 127.0.0.1, or let clients send their own keys"
        )
    return key
