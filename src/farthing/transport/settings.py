"""Where Claude is, and what is checked about it before there is an event loop."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from farthing.errors import ConfigError
from farthing.transport.proxies import ca_files, proxy_for

__all__ = ["Origin", "UpstreamSettings", "check_upstream", "trust_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """Where Claude is and how long to try to reach it."""

    url: str
    connect_seconds: float = 10.0
    #: an idle connection is closed after this; shorter than any load balancer's own limit
    idle_seconds: float = 55.0
    #: an answer silent for longer counts as cut; None: as long as the client waits
    silence_seconds: float | None = None
    #: connections at a time; 0: no limit of ours
    max_connections: int = 0
    #: honour the proxy and CA variables of the environment
    trust_env: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The server behind a base URL, in the spelling of the wire."""

    host: str
    port: int
    is_https: bool
    #: the value of ``host``
    authority: bytes
    #: what stands before each path, without its last slash
    prefix: bytes

    @classmethod
    def of(cls, url: str) -> Self:
        """``ConfigError`` for what is no http or https URL."""
        try:
            parts = urlsplit(url.rstrip("/"))
            host = (parts.hostname or "").encode("idna").decode("ascii")
            port, prefix = parts.port, parts.path.encode("ascii")
        except ValueError as error:  # a port that is no number, a name that no resolver takes
            raise _no_url(url) from error
        if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
            raise _no_url(url)
        if parts.username is not None:
            raise ConfigError(
                "the upstream's URL holds a user name: farthing sends the client's credentials "
                "only; take the name out of the URL"
            )
        is_https = parts.scheme == "https"
        named = f"[{host}]" if ":" in host else host
        usual = 443 if is_https else 80
        authority = named if port in (None, usual) else f"{named}:{port}"
        return cls(
            host=host,
            port=port or usual,
            is_https=is_https,
            authority=authority.encode("ascii"),
            prefix=prefix,
        )


def check_upstream(settings: UpstreamSettings) -> None:
    """``ConfigError`` for what settings or environment get wrong, before there is a loop."""
    trust_of(Origin.of(settings.url), trust_env=settings.trust_env)
    if settings.trust_env:
        proxy_for(settings.url)


def trust_of(origin: Origin, *, trust_env: bool) -> ssl.SSLContext | None:
    """Whose certificates are believed; None where there are none, as to plain http."""
    if not origin.is_https:
        return None
    if not trust_env:
        return _context_of_the_system()
    file, folder = ca_files()
    context = ssl.create_default_context()
    if file or folder:
        try:
            context.load_verify_locations(file, folder)
        except (OSError, ssl.SSLError) as error:
            where = file or folder
            raise ConfigError(f"cannot read the CA certificates in {where!r}: {error}") from error
    return context


def _context_of_the_system() -> ssl.SSLContext:
    """The CAs that OpenSSL was built to trust; by itself it would look into the environment."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    paths = ssl.get_default_verify_paths()
    file, folder = Path(paths.openssl_cafile), Path(paths.openssl_capath)
    if file.is_file() or folder.is_dir():
        context.load_verify_locations(
            file if file.is_file() else None, folder if folder.is_dir() else None
        )
    return context


def _no_url(url: str) -> ConfigError:
    scheme, mark, rest = url.partition("://")
    shown = f"{scheme}{mark}{rest.rpartition('@')[2]}"  # without a password
    return ConfigError(
        f"the upstream {shown!r} is not an http or https URL, such as https://api.anthropic.com"
    )
