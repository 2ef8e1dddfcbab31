"""The emulator as a process that writes down, line by line, what it received and what it billed.

The lines are the emulator's own books with nothing computed: requests with the label that the
client gave them, and the tokens of each pass. Runs in a process of its own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TextIO

from farthing.lab.emulator import Emulator, Settings
from farthing.lab.emulator.call import Call
from farthing.lab.emulator.catalog import Model
from farthing.lab.emulator.records import Books, Received
from farthing.lab.emulator.server import listen, serve_forever
from farthing.lab.emulator.usage import Bill

__all__ = ["LABEL", "serve"]

#: what a client calls its request; the gateway passes it on like any header
LABEL = "x-exact-label"


class _Arrivals:
    """Stands where the emulator keeps what it received."""

    def __init__(self, log: TextIO) -> None:
        self._log = log

    def append(self, received: Received) -> None:
        request = received.http_request
        _write(
            self._log,
            kind="received",
            label=request.headers.get(LABEL),
            method=request.method,
            path=request.path,
            status=received.status,
            request_id=received.request_id,
        )


class _LoggedBooks(Books):
    """The emulator's books, and a copy of each line on disk."""

    def __init__(self, log: TextIO) -> None:
        super().__init__(requests_kept=1)
        self._log = log
        self.received = _Arrivals(log)  # type: ignore[assignment]  # nobody reads it here

    def bill(self, call: Call, model: Model, bill: Bill, workspace_id: str | None) -> None:
        super().bill(call, model, bill, workspace_id)
        passes = [
            {
                "uncached": one.accounting.uncached,
                "write_5m": one.accounting.write_5m,
                "write_1h": one.accounting.write_1h,
                "read": one.accounting.read,
                "output": one.output,
            }
            for one in bill.iterations
        ]
        _write(
            self._log,
            kind="billed",
            label=call.headers.get(LABEL),
            request_id=call.request_id,
            batch=call.batch,
            model=model.id,
            tier=bill.tier,
            geo=bill.geo,
            speed=bill.speed,
            searches=bill.searches,
            passes=passes,
        )


def serve(log_path: str, port: int) -> None:
    """Serve on loopback until SIGTERM."""
    with Path(log_path).open("w", encoding="utf-8") as log:
        emulator = Emulator(Settings(clock="real", batch_seconds=0.4))
        emulator.books = emulator.messages.books = _LoggedBooks(log)
        listener = listen(port)
        print("ready", flush=True)
        serve_forever(emulator, listener)


def _write(log: TextIO, **line: Any) -> None:
    log.write(json.dumps(line) + "\n")
