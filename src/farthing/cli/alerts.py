"""``farthing alerts``: try the channels, see what fires or was given up, send it again."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from msgspec.structs import replace

from farthing.cli.ledger_options import ledger_of
from farthing.cli.settings import resolve_settings
from farthing.cli.table import render_table
from farthing.config import Settings
from farthing.core.alerts import Alert, Message, make_alert
from farthing.driver.alerts import Delivery, Verdict
from farthing.driver.system import TimeOrderedIds
from farthing.errors import ConfigError, LedgerError
from farthing.ledger.alert_store import SqliteAlertStore

__all__ = ["DESCRIPTION", "HELP", "add_arguments", "run"]

HELP: Final = "Test the channels of alerts, list what fires, send again what was not delivered"

DESCRIPTION: Final = """\
Test the channels of alerts, list what fires, send again what was not delivered.

  farthing alerts test                   one alert to each channel, now, and what it answered
  farthing alerts test --channel slack   to one of slack, pagerduty, webhook
  farthing alerts list                   what fires, what waits, what was given up
  farthing alerts retry 12 13            put given-up deliveries back; without numbers all of them

Channels are set up in [alerts] of the settings; docs/alerts.md shows how. A running gateway sends
what was put back within half a minute. `test` exits with 1 where a channel did not take it; at
PagerDuty it opens an incident and resolves it."""


class _Attempt(Protocol):
    async def __call__(self, channel: str, message: Message, /) -> Verdict: ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this command understands."""
    add = parser.add_argument
    add("verb", choices=("test", "list", "retry"), help="what to do")
    add("numbers", nargs="*", type=int, metavar="NUMBER", help="retry: as `list` shows them")
    add("--channel", choices=("slack", "pagerduty", "webhook"), help="test: this one only")
    add("--ledger", metavar="FILE", help="the ledger, where the settings name another or none")
    add("--config", type=Path, metavar="FILE", help="TOML file with the settings")
    add("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Do what the verb says."""
    if args.numbers and args.verb != "retry":
        raise ConfigError("numbers belong to `farthing alerts retry`")
    if args.channel is not None and args.verb != "test":
        raise ConfigError("--channel belongs to `farthing alerts test`")
    if args.verb == "test":
        return _test(resolve_settings(args).settings, args)
    with _store(ledger_of(args)) as store:
        return _list(store, args) if args.verb == "list" else _retry(store, args)


def _test(settings: Settings, args: argparse.Namespace) -> int:
    found = asyncio.run(_told(settings, args.channel))
    if args.json:
        print(json.dumps({name: {"state": v.state, "why": v.why} for name, v in found.items()}))
    else:
        words = {"delivered": "delivered", "again": "not delivered", "dead": "refused"}
        rows = [[name, words[verdict.state], verdict.why or ""] for name, verdict in found.items()]
        print(render_table(["channel", "", "why"], rows, align="lll"))
    return 0 if all(verdict.state == "delivered" for verdict in found.values()) else 1


async def _told(settings: Settings, only: str | None) -> dict[str, Verdict]:
    try:
        # Late: this loads the HTTP client, which `pip install farthing` lacks.
        from farthing.compose.alert_channels import (  # noqa: PLC0415
            alert_channels,
            alert_sender,
        )
    except ImportError as error:
        raise ConfigError(f"alerts need {error.name!r}: pip install 'farthing[gateway]'") from error
    channels = alert_channels(settings)
    wanted = [name for name in channels if only in (None, name)]
    if not wanted:
        named = "no channel" if only is None else f"no channel {only!r}"
        raise ConfigError(f"{named} is set up; see [alerts] in docs/alerts.md")
    sender = alert_sender(channels, settings)
    return {
        name: await _one(sender.attempt, name, one_by_one=channels[name].is_one_by_one)
        for name in wanted
    }


async def _one(attempt: _Attempt, name: str, *, one_by_one: bool) -> Verdict:
    alert = make_alert("test", "farthing alerts test", datetime.now(UTC), facts={})
    message = Message(message_id=TimeOrderedIds().new_id("al"), alerts=(alert,))
    verdict = await attempt(name, message)
    if verdict.state != "delivered" or not one_by_one:
        return verdict
    return await attempt(name, replace(message, alerts=(replace(alert, state="resolved"),)))


def _list(store: SqliteAlertStore, args: argparse.Namespace) -> int:
    firing, waiting, dead = store.firing(), store.deliveries("waiting"), store.deliveries("dead")
    gathering = [one.alert for one in store.pending()]
    if args.json:
        document = {
            "firing": [_alert(alert) for alert in firing],
            "gathering": [_alert(alert) for alert in gathering],
            "waiting": [_delivery(one) for one in waiting],
            "dead": [_delivery(one) for one in dead],
        }
        print(json.dumps(document, ensure_ascii=False))
        return 0
    print(f"{len(firing)} firing, {len(gathering)} gathered for the next message")
    for alert in firing:
        print(f"  {alert.at:%Y-%m-%d %H:%M}  {alert.severity:8}  {alert.rule}: {alert.summary}")
    rows = [_cells(one) for one in (*waiting, *dead)]
    if rows:
        print()
        headers = ["number", "channel", "state", "alerts", "attempts", "why", "since"]
        print(render_table(headers, rows, align="rllrrll"))
    return 0


def _retry(store: SqliteAlertStore, args: argparse.Namespace) -> int:
    dead = [one.number for one in store.deliveries("dead")]
    unknown = sorted(set(args.numbers) - set(dead))
    if unknown:
        known = ", ".join(map(str, dead)) or "none"
        raise ConfigError(
            f"no delivery {unknown[0]} was given up, and nothing was put back; given up: {known}"
        )
    numbers = sorted(set(args.numbers)) or dead
    count = store.revive(numbers, datetime.now(UTC))
    if args.json:
        print(json.dumps({"revived": count}))
    else:
        print(f"{count} put back: a running gateway sends within half a minute")
    return 0 if count == len(numbers) else 1


def _alert(alert: Alert) -> dict[str, object]:
    return {
        "dedup_key": alert.dedup_key,
        "severity": alert.severity,
        "at": alert.at.isoformat(),
        "summary": alert.summary,
    }


def _delivery(one: Delivery) -> dict[str, object]:
    return {
        "number": one.number,
        "channel": one.channel,
        "state": one.state,
        "attempts": one.attempts,
        "why": one.why,
        "created_at": one.created_at.isoformat(),
        "alerts": [_alert(alert) for alert in one.message.alerts],
    }


def _cells(one: Delivery) -> list[str]:
    state = "given up" if one.state == "dead" else one.state
    count, since = str(len(one.message.alerts)), f"{one.created_at:%Y-%m-%d %H:%M}"
    number, attempts = str(one.number), str(one.attempts)
    return [number, one.channel, state, count, attempts, one.why or "", since]


@contextmanager
def _store(path: Path) -> Iterator[SqliteAlertStore]:
    if not path.is_file():
        raise LedgerError(f"there is no ledger at {str(path)!r}: name another with --ledger")
    store = SqliteAlertStore(path)
    try:
        yield store
    finally:
        store.close()
