"""What a folder of recorded calls cost, why, and what to change: pure sums over conversations."""

from __future__ import annotations

from farthing.traces.audit.analysis import DIMENSIONS, Audit
from farthing.traces.audit.document import PolicyOutcome, build_document

__all__ = ["DIMENSIONS", "Audit", "PolicyOutcome", "build_document"]
