"""The composition root: the one floor that builds adapters and hands them to the doors.

What a door needs is loaded with it: the middleware must not ask for the gateway's server.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from farthing.compose.place import ledger_path
    from farthing.compose.serving import RunningGateway, running_gateway, serve

__all__ = ["RunningGateway", "ledger_path", "running_gateway", "serve"]

_PLACES: Final = {
    "RunningGateway": "farthing.compose.serving",
    "ledger_path": "farthing.compose.place",
    "running_gateway": "farthing.compose.serving",
    "serve": "farthing.compose.serving",
}


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(_PLACES[name]), name)
    return found
