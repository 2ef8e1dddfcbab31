"""One HTTP request per delivery: TLS verified, nothing followed, nothing kept of the answer.

Theory of operation. A new connection for each request: alerts are rare, and a pool would only find
its connections closed. Certificates are checked against the system's authorities, or those that
``SSL_CERT_FILE`` names, and in addition a file or folder that the caller names.

Rules of this file: an attempt ends in a verdict, whatever happens; what goes into it is a status or
the name of an error class, because foreign errors quote addresses, and those are secrets here.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from farthing.core.alerts import Message
from farthing.driver.alerts import Verdict
from farthing.driver.ports import Clock
from farthing.errors import ConfigError
from farthing.notify.channels import Channel, verdict_of

__all__ = ["AlertSender", "check_address", "trusting"]

_SECONDS: Final = 15.0
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSender:
    """Attempts deliveries."""

    channels: Mapping[str, Channel]
    clock: Clock
    trust: ssl.SSLContext = field(repr=False)
    #: the proxy for an address, if there is one; ``.netrc`` is never read
    proxy_for: Callable[[str], str | None]
    seconds: float = _SECONDS

    async def attempt(self, channel: str, message: Message) -> Verdict:
        """Send once; how it went."""
        try:
            outgoing = self.channels[channel].outgoing(message, self.clock.now())
            async with (
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(ssl=self.trust, force_close=True),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    timeout=aiohttp.ClientTimeout(total=self.seconds),
                ) as session,
                session.post(
                    outgoing.url,
                    data=outgoing.body,
                    headers=list(outgoing.headers),
                    proxy=self.proxy_for(outgoing.url),
                    allow_redirects=False,
                ) as answer,
            ):
                return verdict_of(answer.status, answer.headers.get("retry-after"))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Verdict(state="again", why=type(error).__name__)
        except Exception as error:  # noqa: BLE001 -- protects the queue: one message must not stop all
            return Verdict(state="dead", why=type(error).__name__)


def trusting(ca_file: str | None, ca_folder: str | None) -> ssl.SSLContext:
    """A context that checks certificates; ``ConfigError`` where the authorities cannot be read."""
    context = ssl.create_default_context()
    if ca_file is not None or ca_folder is not None:
        try:
            context.load_verify_locations(ca_file, ca_folder)
        except (OSError, ssl.SSLError) as error:
            named = ca_file or ca_folder
            raise ConfigError(f"cannot read the certificate authorities in {named!r}") from error
    return context


def check_address(url: str, setting: str) -> None:
    """``ConfigError`` for what is no address, or would send alerts, or a secret, in the clear."""
    if not _is_safe(url):
        raise ConfigError(
            f"{setting} must be an https address; plain http goes to this machine only"
        )


def _is_safe(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # no address; its words would quote it
        return False
    is_own = parts.scheme == "http" and host in _LOOPBACK
    return port != 0 and bool(host) and (is_own or parts.scheme == "https")
