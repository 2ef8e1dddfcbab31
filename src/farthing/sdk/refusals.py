"""What a refusal of ours is to the caller: the error that says which rule it was.

A gateway's client reads the envelope; a program catches a class. Both come from one answer, which
carries its error where that knows more than an envelope has room for.
"""

from __future__ import annotations

from typing import Final

from farthing.core.exchange_effects import ClientHead
from farthing.errors import BreakerOpen, BudgetExceeded, FarthingError, LoopDetectedError
from farthing.sdk.booking import TaskLedger
from farthing.wire.envelope import parse_error

__all__ = ["REFUSALS", "refusal_of"]

#: errors that a caller of the SDK gets because a rule said no
REFUSALS: Final = (BreakerOpen, BudgetExceeded, LoopDetectedError)

_EXCHANGE_ID: Final = b"x-farthing-exchange-id"


def refusal_of(head: ClientHead, ledger: TaskLedger) -> FarthingError:
    """The error for a caller whose call was not sent."""
    if isinstance(head.error, BreakerOpen | LoopDetectedError):
        return head.error
    envelope = parse_error(head.body or b"")
    message = envelope.message if envelope else ""
    return ledger.refusal(_header(head, _EXCHANGE_ID), message)


def _header(head: ClientHead, name: bytes) -> str:
    return next((value.decode() for key, value in head.headers if key == name), "")
