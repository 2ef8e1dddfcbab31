"""Exchanges as OpenTelemetry spans and metrics, by the GenAI semantic conventions; no prompt text.

Needs the extra ``otel``; only ``farthing.telemetry.exporting`` imports it, when it is switched on.
"""
