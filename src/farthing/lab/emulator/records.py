"""What was received and what was billed: the emulator's own books."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from farthing.lab.emulator.call import Call
from farthing.lab.emulator.catalog import Model
from farthing.lab.emulator.reply import HttpRequest
from farthing.lab.emulator.usage import Bill

__all__ = ["Books", "Line", "Received"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One HTTP request as it arrived, and how it was answered."""

    http_request: HttpRequest
    at: float
    status: int
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One billed request."""

    at: float
    organization: str
    workspace_id: str | None
    key_id: str
    model: Model
    bill: Bill


class Books:
    """The last requests received, and every line billed."""

    def __init__(self, requests_kept: int) -> None:
        self.received: deque[Received] = deque(maxlen=requests_kept)
        self.lines: list[Line] = []

    def bill(self, call: Call, model: Model, bill: Bill, workspace_id: str | None) -> None:
        """Add what a request is billed for."""
        self.lines.append(
            Line(
                at=call.now,
                organization=call.account.organization,
                workspace_id=workspace_id,
                key_id=call.account.key_id,
                model=model,
                bill=bill,
            )
        )
