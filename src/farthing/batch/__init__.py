"""Bulk rows through Message Batches, at half the price (``pip install 'farthing[sdk]'``)."""

from __future__ import annotations

from farthing.batch.rows import FailedRow, Row, RowResult, TextRow, results, submit

__all__ = ["FailedRow", "Row", "RowResult", "TextRow", "results", "submit"]
