"""Alerts on their way out: Slack, PagerDuty, a signed webhook. Nothing is decided here."""

from __future__ import annotations

__all__: list[str] = []
