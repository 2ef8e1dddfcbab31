"""aiohttp's exceptions as ours, in one place; the most specific wins, the original is the cause.

What matters to money is *whether the request can have left*: what failed before is
``UpstreamUnreachable`` and cost nothing, what failed after is ``UpstreamCut`` and may have.
"""

from __future__ import annotations

from typing import Final

import aiohttp

from farthing.errors import UpstreamCut, UpstreamError, UpstreamTimeout, UpstreamUnreachable

__all__ = ["FOREIGN", "RULES", "translation_of"]

#: Tried in order: foreign type → our leaf and its message. No message carries the foreign text: it
#: may hold a proxy's password or a header's value.
RULES: Final[tuple[tuple[type[BaseException], type[UpstreamError], str], ...]] = (
    (
        aiohttp.ClientConnectorDNSError,
        UpstreamUnreachable,
        "the name of the Claude API cannot be resolved: check --upstream and the network",
    ),
    (
        aiohttp.ConnectionTimeoutError,
        UpstreamUnreachable,
        "no connection to the Claude API in time: check the network and the proxy",
    ),
    (
        aiohttp.ClientProxyConnectionError,
        UpstreamUnreachable,
        "the proxy named by the environment cannot be reached",
    ),
    (
        aiohttp.ClientHttpProxyError,
        UpstreamUnreachable,
        "the proxy named by the environment refused the connection",
    ),
    (
        aiohttp.ClientConnectorCertificateError,
        UpstreamUnreachable,
        "the certificate of the Claude API is not trusted here: set SSL_CERT_FILE",
    ),
    (
        aiohttp.ClientConnectorError,
        UpstreamUnreachable,
        "the Claude API cannot be reached: check --upstream and the network",
    ),
    (aiohttp.ServerTimeoutError, UpstreamTimeout, "the Claude API did not answer in time"),
    (aiohttp.InvalidURL, UpstreamUnreachable, "the request's target is no valid URL"),
    (
        aiohttp.ClientResponseError,
        UpstreamCut,
        "the answer of the Claude API is not HTTP that can be read",
    ),
    (
        aiohttp.ClientError,
        UpstreamCut,
        "the connection to the Claude API ended before the answer was complete",
    ),
    (TimeoutError, UpstreamTimeout, "the Claude API did not answer in time"),
    (
        OSError,
        UpstreamCut,
        "the connection to the Claude API ended before the answer was complete",
    ),
    (
        ValueError,
        UpstreamUnreachable,
        "the request cannot be written as HTTP: a header holds a control character",
    ),
)


#: what ``translation_of`` has a rule for
FOREIGN: Final = (aiohttp.ClientError, OSError, ValueError)


def translation_of(error: BaseException) -> UpstreamError:
    """Our error for a foreign one."""
    for foreign, ours, message in RULES:
        if isinstance(error, foreign):
            return ours(f"{message} ({type(error).__name__})")
    raise AssertionError(f"{type(error).__name__} has no rule") from error
