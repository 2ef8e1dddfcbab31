"""What a gateway is made of before its event loop runs, and all that its settings can get wrong."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from farthing.compose.access import Access, open_access
from farthing.compose.alerting import AlertService, open_alerts
from farthing.compose.budgets import tell_budgets
from farthing.compose.decisions import Decisions, open_decisions
from farthing.compose.levers import load_policy
from farthing.compose.own_levers import OwnLevers
from farthing.compose.place import install_key, ledger_path
from farthing.compose.telemetry import open_telemetry
from farthing.config import Settings
from farthing.core.exchange_prepare import Setup
from farthing.driver.pins import PinStore
from farthing.driver.ports import Ledger
from farthing.driver.system import SystemClock
from farthing.errors import ConfigError
from farthing.gateway.credentials import Credentials
from farthing.gateway.metrics import Metrics
from farthing.gateway.metrics_savings import SavingMetrics
from farthing.gateway.record_files import RecordFiles
from farthing.gateway.recording import Recorder
from farthing.ledger import SqliteLedger
from farthing.ledger.hands import Writing
from farthing.pricing import Catalog
from farthing.traces.redact import Redactor
from farthing.transport.settings import UpstreamSettings, check_upstream
from farthing.version import VERSION

__all__ = ["Parts", "open_parts"]

_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What exists before the event loop does, and all that settings can get wrong."""

    settings: Settings
    ledger: SqliteLedger
    metrics: Metrics
    exchange_setup: Setup
    credentials: Credentials
    access: Access
    upstream: UpstreamSettings
    recorder: Recorder | None
    #: where exchanges are recorded: the ledger itself, or one that others listen to
    records: Ledger
    #: None: nobody is to be told
    alerts: AlertService | None
    #: the journal of what is decided
    decisions: Decisions
    #: None: no lever exists
    pins: PinStore | None


@contextmanager
def open_parts(
    settings: Settings, prices: Catalog, *, writing: Writing = "thread"
) -> Iterator[Parts]:
    """The parts, the ledger recovered and open; all of it is let go of at the end.

    ``writing``: where the ledger's database is written.
    """
    credentials = Credentials(_own_key(settings))
    upstream = _upstream_settings(settings)
    check_upstream(upstream)
    with (
        _open_ledger(settings, writing) as ledger,
        open_access(settings, has_own_key=bool(credentials.own)) as access,
        open_telemetry(settings, ledger) as told,
        open_decisions(ledger.path) as decisions,
        open_alerts(settings, ledger, told, decisions) as (alerts, records),
    ):
        decisions.policy_in_force(load_policy(settings), settings)
        recorder = _recorder(settings)
        levers = OwnLevers(settings, ledger, key=install_key(ledger.path), prices=prices)
        _listen(levers.setup, decisions, alerts)
        try:
            yield Parts(
                settings=settings,
                ledger=ledger,
                metrics=Metrics(SavingMetrics(prices), levers.setup.breakers),
                exchange_setup=levers.setup,
                credentials=credentials,
                access=access,
                upstream=upstream,
                recorder=recorder,
                records=records,
                alerts=alerts,
                decisions=decisions,
                pins=levers.pins,
            )
        finally:
            levers.close()
            if recorder is not None:
                recorder.close()


def _listen(setup: Setup, decisions: Decisions, alerts: AlertService | None) -> None:
    """Journal and alerts hear of what exchanges decide."""
    decisions.follow(setup, None if alerts is None else alerts.breaker)
    if alerts is not None:
        tell_budgets(setup.board, alerts.budget)


@contextmanager
def _open_ledger(settings: Settings, writing: Writing) -> Iterator[SqliteLedger]:
    ledger = SqliteLedger(ledger_path(settings), writing=writing)
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
    """The gateway's own key; whoever the gate lets in spends it."""
    key = settings.api_key
    if settings.api_key_file is not None:
        try:
            key = Path(settings.api_key_file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise ConfigError(f"cannot read the key in {settings.api_key_file!r}: {why}") from error
    return key
