"""The proxy that the environment names for the way upstream.

It is looked up once, when the pool is made: looking again on each request costs a thread hop, and
``.netrc``, which the same switch of the HTTP library reads, must never add a credential.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from farthing.errors import ConfigError

__all__ = ["ca_files", "proxy_for"]


def proxy_for(url: str) -> str | None:
    """The proxy for ``url`` by ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``."""
    parts = urlsplit(url)
    proxies = getproxies_environment()
    if proxy_bypass(parts.netloc):
        return None
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy is None:
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    if urlsplit(proxy).scheme not in ("http", "https"):
        raise ConfigError(
            f"the environment names the proxy {_without_userinfo(proxy)!r} for {parts.netloc!r}; "
            "only http and https proxies are supported: change it, or put the host into NO_PROXY"
        )
    return proxy


def ca_files() -> tuple[str | None, str | None]:
    """The CA file and folder the environment names beside the system's: ``SSL_CERT_FILE``/``_DIR``.

    OpenSSL reads these two itself; ``REQUESTS_CA_BUNDLE`` and ``NODE_EXTRA_CA_CERTS`` are what
    people behind a company's proxy have set for the clients that farthing stands in for.
    """
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"):
        path = os.environ.get(name)
        if path:
            return (None, path) if Path(path).is_dir() else (path, None)
    return None, None


def _without_userinfo(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
