"""What a door hands over: one call of a client, the moment it came, and where it goes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

import msgspec

from farthing.core.batch_scan import BatchScan
from farthing.core.masking import masked
from farthing.core.records import Attribution, Endpoint

__all__ = ["Call", "Moment", "Route", "route_of"]


class Moment(msgspec.Struct, frozen=True):
    """An instant by both clocks: the wall's for records, the monotonic one for durations."""

    at: datetime
    ns: int


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request of a client, as far as an exchange looks at it."""

    #: minted by the door; a retry takes over the id of the exchange that it goes on with
    exchange_id: str
    method: str
    #: without the query
    path: str
    #: lower-case names; of a name given twice, the first
    headers: Mapping[str, str]
    received: Moment
    #: empty where the door streams a body that it does not hold
    body: bytes = b""
    #: the name of the virtual key it came with, which is then its scope; None: without one
    key_name: str | None = None
    #: the only levers that this key may have; None: what the policy says
    levers: frozenset[str] | None = None
    #: whose prefix a call of our own keeps alive; None: it is a client's
    ping_for: Attribution | None = None
    #: the rows of a batch that it creates; None where it creates none, or no budget is there
    rows: BatchScan | None = None

    def __repr__(self) -> str:
        return f"<Call {self.exchange_id} {self.method} {len(self.body)} bytes>"

    def body_sha256(self) -> bytes:
        """Of a batch, whoever read its rows has seen the bytes that are not here."""
        return sha256(self.body).digest() if self.rows is None else self.rows.body_sha256

    def flag(self, name: str) -> bool:
        """Is a header of ours switched on?"""
        return self.headers.get(name, "").strip().lower() in {"1", "true", "yes", "on"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What a path means for the bill."""

    endpoint: Endpoint
    #: the path's class, without ids: it may rest in the ledger
    path: str
    #: nothing that is sent here costs anything
    is_free: bool = False
    #: does it get a row; reading what exists does not
    is_recorded: bool = True
    #: the batch whose results are read here
    batch_id: str | None = None


_RESULTS: Final = re.compile(r"/v1/messages/batches/([^/]+)/results")
#: Creating batches, uploading files and skills costs nothing by itself (API facts, sections 3, 5).
_FREE: Final = re.compile(r"/v1/(?:messages/batches|files|skills|models)(?:/.*)?")
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})

_MESSAGES: Final = Route(endpoint="messages", path="POST /v1/messages")
_COUNTING: Final = Route(
    endpoint="count_tokens", path="POST /v1/messages/count_tokens", is_free=True
)
_KNOWN: Final = {"/v1/messages": _MESSAGES, "/v1/messages/count_tokens": _COUNTING}


def route_of(method: str, path: str) -> Route:
    """The class of a path; what we do not know is passed on and recorded without a price."""
    if method == "POST":
        known = _KNOWN.get(path.rstrip("/"))  # a slash at its end must not be a way around
        if known is not None:
            return known
    results = _RESULTS.fullmatch(path) if method == "GET" else None
    family = masked("/".join(path.split("/")[:3]))[:64] if path.startswith("/v1/") else "/"
    return Route(
        endpoint="other",
        path=f"{method[:16]} {family}",
        is_free=_FREE.fullmatch(path) is not None or method in _READING,
        is_recorded=method not in _READING,
        batch_id=results[1] if results else None,
    )
