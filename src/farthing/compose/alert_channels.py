"""Who is told, from the settings and the file that they name."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Final

from farthing.compose.place import ledger_path
from farthing.config import Settings
from farthing.core.alert_flow import FlowLimits
from farthing.core.alert_rules import AlertLimits
from farthing.core.alert_windows import WindowLimits
from farthing.driver.system import SystemClock
from farthing.errors import ConfigError
from farthing.notify.channels import Channel, PagerDuty, Slack, Webhook
from farthing.notify.sending import AlertSender, check_address, trusting
from farthing.transport.proxies import ca_files, proxy_for

__all__ = ["alert_channels", "alert_limits", "alert_sender", "flow_limits"]

_SECRETS: Final = ("slack_url", "pagerduty_key", "webhook_url", "webhook_secret")
_MOST_PERCENT: Final = 1_000


def alert_channels(settings: Settings) -> dict[str, Channel]:
    """The channels that are set up, by name; ``ConfigError`` where one cannot be."""
    given = _secrets(settings)
    slack, routing_key = given["slack_url"], given["pagerduty_key"]
    address, secret = given["webhook_url"], given["webhook_secret"]
    if (address is None) != (secret is None):
        raise ConfigError(
            "alerts.webhook_url and alerts.webhook_secret belong together: set both, or neither"
        )
    channels = dict[str, Channel]()
    if slack is not None:
        check_address(slack, "alerts.slack_url")
        channels["slack"] = Slack(url=slack)
    if routing_key is not None:
        check_address(settings.alerts_pagerduty_url, "alerts.pagerduty_url")
        source = f"farthing {ledger_path(settings).name}"
        channels["pagerduty"] = PagerDuty(
            url=settings.alerts_pagerduty_url, routing_key=routing_key, source=source
        )
    if address is not None and secret is not None:
        check_address(address, "alerts.webhook_url")
        channels["webhook"] = Webhook(url=address, secret=secret)
    return channels


def alert_sender(channels: dict[str, Channel], settings: Settings) -> AlertSender:
    """What sends; certificates and proxies as on the way upstream."""
    trust = trusting(*ca_files()) if settings.trust_env else trusting(None, None)
    return AlertSender(
        channels=channels,
        clock=SystemClock(),
        trust=trust,
        proxy_for=proxy_for if settings.trust_env else _directly,
    )


def flow_limits(settings: Settings) -> FlowLimits:
    """How much may be said."""
    return FlowLimits(
        digest_seconds=settings.alerts_digest_minutes * 60.0,
        hourly=max(1, settings.alerts_hourly),
    )


def alert_limits(settings: Settings) -> AlertLimits:
    """From where on a thing is worth an alert."""
    return AlertLimits(
        budget_percents=tuple(_percent(text) for text in settings.alerts_budget_percents),
        windows=WindowLimits(
            error_percent=settings.alerts_error_percent,
            hit_rate_points=settings.alerts_hit_rate_points,
        ),
    )


def _directly(url: str) -> None:
    del url


def _percent(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) <= _MOST_PERCENT:
        return int(text)
    raise ConfigError(f"alerts.budget_percents has {text!r}; write whole percents: 50,80,100")


def _secrets(settings: Settings) -> dict[str, str | None]:
    """What is set directly wins over the file."""
    given: dict[str, str | None] = {
        "slack_url": settings.alerts_slack_url,
        "pagerduty_key": settings.alerts_pagerduty_key,
        "webhook_url": settings.alerts_webhook_url,
        "webhook_secret": settings.alerts_webhook_secret,
    }
    if settings.alerts_file is not None:
        read = _read(Path(settings.alerts_file))
        given = {name: given[name] or read.get(name) for name in _SECRETS}
    return given


def _read(path: Path) -> dict[str, str]:
    """What the file says; errors name the file and no value."""
    try:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise ConfigError(f"{str(path)!r} holds secrets and others may read it: chmod 600")
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the file {str(path)!r}: {error.strerror}") from error
    except (ValueError, RecursionError):
        raise ConfigError(f"{str(path)!r} is not TOML") from None
    if unknown := sorted(table.keys() - set(_SECRETS)):
        raise ConfigError(f"{str(path)!r} sets {unknown[0]!r}; it may set {', '.join(_SECRETS)}")
    if any(not isinstance(value, str) or not value for value in table.values()):
        raise ConfigError(f"{str(path)!r}: each value is a text")
    return table
