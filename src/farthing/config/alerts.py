"""The rows of ``[alerts]``: who is told, how often, and from where on."""

from __future__ import annotations

from dataclasses import dataclass

from farthing.config import kinds
from farthing.config.rows import setting

__all__ = ["AlertSettings"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AlertSettings:
    """The part of ``Settings`` that is about alerts; without a channel there are none."""

    alerts_slack_url: str | None = setting(
        "alerts.slack_url", kinds.TEXT, None, "incoming webhook of Slack", secret=True
    )
    alerts_pagerduty_key: str | None = setting(
        "alerts.pagerduty_key",
        kinds.TEXT,
        None,
        "routing key of a PagerDuty service (Events API v2)",
        secret=True,
    )
    alerts_pagerduty_url: str = setting(
        "alerts.pagerduty_url",
        kinds.URL,
        "https://events.pagerduty.com/v2/enqueue",
        "where events go; accounts in the EU have another",
    )
    alerts_webhook_url: str | None = setting(
        "alerts.webhook_url", kinds.TEXT, None, "receiver of signed alerts as JSON", secret=True
    )
    alerts_webhook_secret: str | None = setting(
        "alerts.webhook_secret",
        kinds.TEXT,
        None,
        "what that receiver checks signatures with",
        secret=True,
    )
    alerts_file: str | None = setting(
        "alerts.file",
        kinds.PATH,
        None,
        "file (TOML) with slack_url, pagerduty_key, webhook_url, webhook_secret",
    )
    alerts_digest_minutes: int = setting(
        "alerts.digest_minutes", kinds.COUNT, 5, "how long alerts that are not urgent are gathered"
    )
    alerts_hourly: int = setting(
        "alerts.hourly", kinds.COUNT, 20, "most messages an hour; the rest follows, nothing is lost"
    )
    alerts_budget_percents: tuple[str, ...] = setting(
        "alerts.budget_percents",
        kinds.WORDS,
        ("50", "80", "100"),
        "shares of a budget, in percent, that are worth an alert",
    )
    alerts_error_percent: int = setting(
        "alerts.error_percent",
        kinds.COUNT,
        20,
        "share of calls, in percent, that fail at the provider within ten minutes",
    )
    alerts_hit_rate_points: int = setting(
        "alerts.hit_rate_points",
        kinds.COUNT,
        20,
        "percentage points that the share of cached prompt tokens may fall",
    )
