"""An independent stand-in for the Claude API: the witness farthing is tested against.

It imports nothing of farthing but its errors and the JSON and SSE codecs, and keeps its own
validity rules, model table, tokenizer and prompt-cache accounting: if it shared code with the
engine, every test would agree with every bug.
"""

from __future__ import annotations

from farthing.lab.emulator.engine import Emulator
from farthing.lab.emulator.latency import INSTANT, TYPICAL, LatencyProfile
from farthing.lab.emulator.reply import HttpRequest, Piece, Reply
from farthing.lab.emulator.server import RunningEmulator, emulator
from farthing.lab.emulator.settings import Settings

__all__ = [
    "INSTANT",
    "TYPICAL",
    "Emulator",
    "HttpRequest",
    "LatencyProfile",
    "Piece",
    "Reply",
    "RunningEmulator",
    "Settings",
    "emulator",
]
