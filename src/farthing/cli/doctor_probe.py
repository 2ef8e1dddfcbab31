"""What the doctor sees: one HTTP request at a time, and the places of this machine.

Rules of this file: it looks and does not judge; nothing here changes anything; a key goes into a
header and nowhere else.
"""

from __future__ import annotations

import os
import shutil
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from pathlib import Path
from typing import Final

__all__ = ["Answer", "ask", "free_bytes", "is_farthing", "is_port_free", "key_headers"]

_SECONDS: Final = 5.0
_MAX_BYTES: Final = 64 * 1024
#: a page that only a gateway of ours has, and what it says there
_OWN_PAGE: Final = "/farthing/v1/exchanges/doctor"
_OWN_WORDS: Final = b"there is no exchange"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a server answered; ``status`` None: it did not, and ``text`` says why."""

    status: int | None
    text: str
    #: the server's clock, if it says it
    date: datetime | None = None


def ask(url: str, headers: Mapping[str, str] | None = None, *, direct: bool = False) -> Answer:
    """GET a page; ``direct`` passes by the proxies of the environment, as loopback must."""
    handlers = [urllib.request.ProxyHandler({})] if direct else []
    opener = urllib.request.build_opener(*handlers)
    request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310 -- a checked URL
    try:
        with opener.open(request, timeout=_SECONDS) as found:
            return _answer(found.status, found.read(_MAX_BYTES), found.headers.get("date"))
    except urllib.error.HTTPError as error:
        with error:
            return _answer(error.code, error.read(_MAX_BYTES), error.headers.get("date"))
    except urllib.error.URLError as error:
        return Answer(status=None, text=str(error.reason))
    except (OSError, HTTPException) as error:
        return Answer(status=None, text=str(error) or type(error).__name__)


def is_farthing(url: str) -> bool:
    """Does a gateway of ours listen there?"""
    answer = ask(f"{url}{_OWN_PAGE}", direct=True)
    return answer.status == 404 and _OWN_WORDS in answer.text.encode()


def key_headers(environment: Mapping[str, str]) -> dict[str, str]:
    """The credential that the clients of this environment would send; empty: there is none."""
    key, token = environment.get("ANTHROPIC_API_KEY"), environment.get("ANTHROPIC_AUTH_TOKEN")
    if key:
        return {"x-api-key": key}
    return {"authorization": f"Bearer {token}"} if token else {}


def is_port_free(host: str, port: int) -> bool:
    """Could a server listen there now?"""
    try:
        with socket.create_server((host, port), family=_family(host)):
            return True
    except OSError:
        return False


def free_bytes(path: Path) -> tuple[int, bool]:
    """Free space where a file would be, and whether its nearest folder can be written."""
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free, os.access(folder, os.W_OK | os.X_OK)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _answer(status: int, body: bytes, date: str | None) -> Answer:
    return Answer(status=status, text=body.decode("utf-8", "replace"), date=_instant(date))


def _instant(text: str | None) -> datetime | None:
    try:
        return None if text is None else parsedate_to_datetime(text).astimezone(UTC)
    except ValueError:
        return None
