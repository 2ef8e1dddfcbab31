"""The trace codec and its importers: recorded conversations in, one versioned format out."""

from __future__ import annotations

from farthing.traces.codec import TraceWriter, read_trace
from farthing.traces.format import Call, Conversation, Header, Message, Outcome
from farthing.traces.importing import Import, import_paths
from farthing.traces.problems import Problems
from farthing.traces.redact import Redactor

__all__ = [
    "Call",
    "Conversation",
    "Header",
    "Import",
    "Message",
    "Outcome",
    "Problems",
    "Redactor",
    "TraceWriter",
    "import_paths",
    "read_trace",
]
