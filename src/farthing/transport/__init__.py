"""HTTP to Claude: connections kept, bytes as they came, foreign errors translated once.

The pool needs ``farthing[gateway]`` and is loaded when it is asked for; reading a compressed body
does not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from farthing.transport.decoding import decoder_for
from farthing.transport.headers import request_headers, response_headers
from farthing.transport.proxies import proxy_for
from farthing.transport.settings import UpstreamSettings

if TYPE_CHECKING:
    from farthing.transport.upstream import Upstream

__all__ = [
    "Upstream",
    "UpstreamSettings",
    "decoder_for",
    "proxy_for",
    "request_headers",
    "response_headers",
]


def __getattr__(name: str) -> object:
    if name != "Upstream":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = import_module("farthing.transport.upstream").Upstream
    return found
