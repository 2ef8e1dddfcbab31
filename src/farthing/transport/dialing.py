"""Opens connections: a name into addresses, the fastest of them, TLS; and what can go wrong there.

Nothing has been sent when any of this fails, so every failure is ``UpstreamUnreachable``: it cost
nothing, and a client may try again. No message carries foreign text: it may quote an address.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final, TypeVar

from aiohappyeyeballs import start_connection

from farthing.errors import UpstreamUnreachable
from farthing.transport.settings import Origin

__all__ = ["dial"]

_Protocol = TypeVar("_Protocol", bound=asyncio.Protocol)

#: how long one address family is waited for before the other is tried, too (RFC 8305, section 5)
_NEXT_FAMILY_SECONDS: Final = 0.25


async def dial(
    origin: Origin,
    protocol: Callable[[], _Protocol],
    *,
    trust: ssl.SSLContext | None,
    seconds: float,
) -> _Protocol:
    """A connection that is open, within ``seconds``."""
    try:
        async with asyncio.timeout(seconds):
            return await _dialled(origin, protocol, trust)
    except TimeoutError as error:  # before OSError, which it is
        raise _unreachable(
            "no connection to the Claude API in time: check the network", error
        ) from error
    except socket.gaierror as error:
        raise _unreachable(
            "the name of the Claude API cannot be resolved: check --upstream and the network", error
        ) from error
    except ssl.SSLCertVerificationError as error:
        raise _unreachable(
            "the certificate of the Claude API is not trusted here: set SSL_CERT_FILE", error
        ) from error
    except OSError as error:
        raise _unreachable(
            "the Claude API cannot be reached: check --upstream and the network", error
        ) from error


async def _dialled(
    origin: Origin, protocol: Callable[[], _Protocol], trust: ssl.SSLContext | None
) -> _Protocol:
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    sock = await start_connection(
        addresses, happy_eyeballs_delay=_NEXT_FAMILY_SECONDS, interleave=1, loop=loop
    )
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _, made = await loop.create_connection(
            protocol, sock=sock, ssl=trust, server_hostname=origin.host if trust else None
        )
    except BaseException:
        sock.close()
        raise
    return made


def _unreachable(what: str, error: OSError) -> UpstreamUnreachable:
    return UpstreamUnreachable(f"{what} ({type(error).__name__})")
