"""What each channel is sent, byte for byte, and what its answer means. No I/O.

Rules from outside:

- Slack, incoming webhooks (docs.slack.dev, read 2026-11): a POST of JSON with ``text``. ``&``,
  ``<`` and ``>`` are escaped, or they would mention people and make links. 200 means received, 429
  comes with ``Retry-After``, other 4xx say that the request or the webhook is wrong.
- PagerDuty, Events API v2 (PagerDuty/api-schema, ``events-v2``, read 2026-11): ``routing_key``,
  ``event_action`` (``trigger``, ``resolve``), ``dedup_key`` up to 255 characters; a trigger has a
  ``payload`` with ``summary`` (up to 1,024), ``source``, ``severity``, ``timestamp``,
  ``component``, ``group``, ``class``, ``custom_details``. 202 is accepted; 400 is never
  repeated, 429 and 5xx are.
- The webhook is ours: a POST of the alerts as JSON, signed with
  ``x-farthing-signature: t=<seconds>,v1=<hex>``, the HMAC-SHA256 under the shared secret of
  ``<seconds>.<body>``. The time is that of the attempt; a receiver refuses old ones.

Rules of this file: addresses and secrets never stand in a ``repr`` or a verdict.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

import msgspec

from farthing.core.alerts import Alert, Message, Severity
from farthing.driver.alerts import Verdict

__all__ = ["Channel", "Outgoing", "PagerDuty", "Slack", "Webhook", "verdict_of"]

_JSON: Final = ("content-type", "application/json")
_SUMMARY: Final = 1_024
#: Slack cuts a text at 40,000; a digest is read on a phone
_LINES: Final = 20
_SIGNS: Final[dict[Severity, str]] = {
    "info": ":information_source:",
    "warning": ":warning:",
    "error": ":rotating_light:",
    "critical": ":rotating_light:",
}
_AGAIN: Final = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One HTTP request; the address may be a secret in itself."""

    url: str = field(repr=False)
    headers: Sequence[tuple[str, str]] = field(repr=False)
    body: bytes = field(repr=False)


class Channel(Protocol):
    """Somebody who is told."""

    @property
    def is_one_by_one(self) -> bool:
        """Does each alert go as a message of its own?"""

    def outgoing(self, message: Message, now: datetime) -> Outgoing:
        """The request for a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slack:
    """An incoming webhook of Slack, or of what takes the same."""

    url: str = field(repr=False)
    is_one_by_one: bool = False

    def outgoing(self, message: Message, now: datetime) -> Outgoing:
        """One text with a line for each alert."""
        del now
        lines = [_line(alert) for alert in message.alerts[:_LINES]]
        if left := len(message.alerts) - len(lines):
            lines.append(f"and {left} more: `farthing alerts list`")
        if len(message.alerts) > 1:
            lines.insert(0, f"*farthing: {len(message.alerts)} alerts*")
        body = msgspec.json.encode({"text": "\n".join(lines)})
        return Outgoing(url=self.url, headers=(_JSON,), body=body)


@dataclass(frozen=True, slots=True, kw_only=True)
class PagerDuty:
    """A service of PagerDuty, by its routing key."""

    url: str
    routing_key: str = field(repr=False)
    source: str = "farthing"
    is_one_by_one: bool = True

    def outgoing(self, message: Message, now: datetime) -> Outgoing:
        """The event of the message's one alert."""
        del now
        (alert,) = message.alerts
        event: dict[str, object] = {
            "routing_key": self.routing_key,
            "event_action": "resolve" if alert.state == "resolved" else "trigger",
            "dedup_key": alert.dedup_key,
        }
        if alert.state == "firing":
            event["client"] = "farthing"
            event["payload"] = {
                "summary": f"{_title(alert)}: {alert.summary}"[:_SUMMARY],
                "source": self.source,
                "severity": alert.severity,
                "timestamp": alert.at.isoformat(),
                "component": "farthing",
                "group": alert.scope,
                "class": alert.rule,
                "custom_details": alert.facts,
            }
        return Outgoing(url=self.url, headers=(_JSON,), body=msgspec.json.encode(event))


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A receiver of your own."""

    url: str = field(repr=False)
    secret: str = field(repr=False)
    is_one_by_one: bool = False

    def outgoing(self, message: Message, now: datetime) -> Outgoing:
        """The alerts as JSON, signed."""
        document = {
            "message_id": message.message_id,
            "alerts": [
                {"dedup_key": alert.dedup_key, **msgspec.to_builtins(alert)}
                for alert in message.alerts
            ],
        }
        body = msgspec.json.encode(document)
        seconds = int(now.timestamp())
        digest = hmac.digest(self.secret.encode(), b"%d.%b" % (seconds, body), hashlib.sha256)
        headers = (
            _JSON,
            ("x-farthing-message", message.message_id),
            ("x-farthing-signature", f"t={seconds},v1={digest.hex()}"),
        )
        return Outgoing(url=self.url, headers=headers, body=body)


def verdict_of(status: int, retry_after: str | None) -> Verdict:
    """What an answer means, for every channel; a redirect is not followed, so it is a refusal."""
    if 200 <= status < 300:
        return Verdict(state="delivered")
    why = f"status {status}"
    if status not in _AGAIN and status < 500:
        return Verdict(state="dead", why=why)
    is_number = retry_after is not None and retry_after.isascii() and retry_after.isdigit()
    return Verdict(
        state="again",
        why=why,
        after_seconds=float(retry_after) if is_number and retry_after else None,
    )


def _line(alert: Alert) -> str:
    sign = ":white_check_mark:" if alert.state == "resolved" else _SIGNS[alert.severity]
    return f"{sign} *{_title(alert)}* {_escaped(alert.summary)}"


def _title(alert: Alert) -> str:
    over = " is over" if alert.state == "resolved" else ""
    return f"{alert.rule.replace('_', ' ')}{over}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
