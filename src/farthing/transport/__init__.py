"""HTTP to Claude: one pool of connections, bytes as they came, foreign errors translated once.

The pool needs ``farthing[gateway]`` and is loaded when it is asked for; reading a compressed body
does not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from farthing.transport.decoding import decoder_for
from farthing.transport.headers import request_headers, response_headers
from farthing.transport.proxies import proxy_for

if TYPE_CHECKING:
    from farthing.transport.upstream import Upstream, UpstreamAnswer, UpstreamSettings

__all__ = [
    "Upstream",
    "UpstreamAnswer",
    "UpstreamSettings",
    "decoder_for",
    "proxy_for",
    "request_headers",
    "response_headers",
]

_OF_THE_POOL: Final = frozenset({"Upstream", "UpstreamAnswer", "UpstreamSettings"})


def __getattr__(name: str) -> object:
    if name not in _OF_THE_POOL:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module("farthing.transport.upstream"), name)
    return found
