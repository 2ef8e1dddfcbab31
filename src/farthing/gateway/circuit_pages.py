"""``/farthing/v1/circuits``: which circuits are open just now, why, and until when.

Circuits live in the process that answers calls, so this page is of this gateway alone. Names are
those of the journal: a key's name or digest, a task type, a call's digest; never a credential.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from farthing.core.breaker import Breakers
from farthing.core.breaker_values import OpenCircuit
from farthing.core.exchange_call import Moment
from farthing.gateway.asgi import Receive, Scope, Send, answer
from farthing.gateway.page_rules import NotFound

__all__ = ["CIRCUITS", "CircuitPages"]

CIRCUITS: Final = "/farthing/v1/circuits"

#: a storm of different calls opens thousands; whoever looks wants to see the worst
_MOST: Final = 100


class CircuitPages:
    """Answers what is about circuits."""

    def __init__(self, breakers: Breakers | None, now: Callable[[], Moment]) -> None:
        self._breakers = breakers
        self._now = now

    async def list(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Those that are not closed: of keys and task types first, then what refused most."""
        if self._breakers is None:
            raise NotFound("there are no circuits: breaker.enabled is off")
        found = self._breakers.open_circuits(self._now())
        found.sort(key=lambda each: (each.key.kind == "call", -each.refused))
        documents = [_document(each) for each in found[:_MOST]]
        document = {"open": len(found), "circuits": documents}
        await answer(send, 200, msgspec.json.encode(document))


def _document(circuit: OpenCircuit) -> dict[str, Any]:
    return {
        "scope": circuit.key.kind,
        "name": circuit.key.name,
        "state": circuit.state,
        "why": circuit.why,
        "last_error": circuit.what or None,
        "refused": circuit.refused,
        "tries_at": circuit.tries_at.isoformat(),
    }
