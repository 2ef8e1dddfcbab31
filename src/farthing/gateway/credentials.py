"""Whose key goes upstream: the client's own, untouched, or the one the gateway was given.

A key is never logged, shown or kept: the client's lives as long as its request, ours as long as the
process. With a key of the gateway's own, whoever the gate lets in spends it (``gateway.access``). A
browser page must not: calls that carry an ``Origin`` are refused then, and without virtual keys
``compose`` binds to loopback only. A virtual key never goes upstream.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from farthing.errors import ConfigError, RequestError
from farthing.gateway.asgi import header
from farthing.transport.headers import request_headers

__all__ = ["NO_PROVIDER_KEY", "Credentials", "ForeignPage"]

NO_PROVIDER_KEY: Final = (
    "virtual keys are in force, and this gateway has no provider key to put in their place: "
    "whoever runs it sets FARTHING_API_KEY or upstream.api_key_file"
)

#: what may stand in a header; a file that holds nothing, or more than a key, is a mistake
_KEY: Final = re.compile(r"[\x21-\x7e]+")
_CREDENTIALS: Final = frozenset({b"x-api-key", b"authorization"})


class ForeignPage(RequestError):
    """A web page may not use what the gateway offers on loopback."""

    code = "request.foreign_page"
    status_hint = 403


class Credentials:
    """Makes the header of a request upstream."""

    def __init__(self, own_key: str | None = None) -> None:
        if own_key is not None and not _KEY.fullmatch(own_key):
            raise ConfigError(
                "the gateway's own key is empty or has spaces, line ends or letters that no key "
                "has: see FARTHING_API_KEY, upstream.api_key and upstream.api_key_file"
            )
        self._own = None if own_key is None else (b"x-api-key", own_key.encode())

    def __repr__(self) -> str:
        return f"<Credentials {'of the client' if self._own is None else 'own key'}>"

    @property
    def own(self) -> list[tuple[bytes, bytes]]:
        """The header of what farthing itself originates; empty where it has no key of its own."""
        return [] if self._own is None else [self._own]

    def outgoing(
        self, headers: Sequence[tuple[bytes, bytes]], *, has_virtual_key: bool = False
    ) -> list[tuple[bytes, bytes]]:
        """What of the client's header goes upstream, with the right key in it."""
        kept = request_headers(headers)
        if self._own is None:
            if has_virtual_key:
                raise ConfigError(NO_PROVIDER_KEY)
            return kept
        if header(headers, b"origin") is not None:
            raise ForeignPage("a web page may not spend the key of the gateway")
        return [*(field for field in kept if field[0] not in _CREDENTIALS), self._own]
