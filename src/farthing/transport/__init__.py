"""HTTP to Claude: one pool of connections, bytes as they came, foreign errors translated once."""

from __future__ import annotations

from farthing.transport.decoding import decoder_for
from farthing.transport.headers import request_headers, response_headers
from farthing.transport.proxies import proxy_for
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
