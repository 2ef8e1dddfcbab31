"""What the SDK's HTTP client failed with, as ours; the caller gets the original.

What matters to money is whether the request can have left. An exception that is none of the
transport's was raised while the request was being made, so nothing was sent.
"""

from __future__ import annotations

from typing import Final

import anthropic
import httpx2

from farthing.errors import UpstreamCut, UpstreamError, UpstreamTimeout, UpstreamUnreachable

__all__ = ["translation_of"]

_NOT_SENT: Final = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
    httpx2.LocalProtocolError,
)


def translation_of(error: Exception) -> UpstreamError:
    """Our error for one that came out of the SDK, or of the stream of an answer."""
    reason = error.__cause__ if isinstance(error, anthropic.APIConnectionError) else error
    if isinstance(reason, _NOT_SENT):
        return UpstreamUnreachable(f"the Claude API cannot be reached ({type(reason).__name__})")
    if isinstance(reason, httpx2.TimeoutException):
        return UpstreamTimeout(f"the Claude API did not answer in time ({type(reason).__name__})")
    is_of_transport = isinstance(error, anthropic.APIConnectionError | anthropic.APIStatusError)
    if is_of_transport or isinstance(reason, httpx2.HTTPError | httpx2.StreamError):
        return UpstreamCut(f"the answer of the Claude API was cut ({type(reason).__name__})")
    return UpstreamUnreachable(f"the request could not be made ({type(error).__name__})")
