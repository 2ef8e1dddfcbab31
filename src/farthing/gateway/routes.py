"""Which call is which: the endpoint's kind, its name in figures, how large its body may be.

Rules from outside (API facts, sections 3, 4.4 and 9.1; provider's pages on errors and batches, read
2026-11): 32 MB for Messages and count_tokens, 256 MB for batches, 500 MB for files; Claude Code
appends ``?beta=true``, so the path alone decides.

Rules of this file: what is not known is relayed like any other call. A name holds no id and no
query: it goes into metrics and the ledger, where each new value costs memory for ever.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from farthing.errors import RequestError

__all__ = ["Kind", "NoPath", "Route", "Routes", "check_path"]

Kind = Literal["messages", "count_tokens", "other"]

_KINDS: Final[dict[tuple[str, str], Kind]] = {
    ("POST", "/v1/messages"): "messages",
    ("POST", "/v1/messages/count_tokens"): "count_tokens",
}

_MB: Final = 1024 * 1024
_FILE_BYTES: Final = 500 * _MB

#: an id of any kind: it has a digit or is longer than any resource's name
_ID: Final = re.compile(r"[^/]*\d[^/]*|[^/]{25,}")
_VERSION: Final = re.compile(r"v\d+")
_MAX_SEGMENTS: Final = 6
#: of the paths that are not ours to know, this many are remembered
_PATHS: Final = 1024


class NoPath(RequestError):
    """The request names no path, so there is nothing to ask Claude for."""

    code = "request.no_path"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How one endpoint is relayed."""

    kind: Kind
    #: the path with ids left out, for figures
    name: str
    max_body_bytes: int
    #: the body is read whole before it is sent: farthing looks into it
    is_held: bool


class Routes:
    """Finds the route of each call; every path has one."""

    def __init__(self, *, body_bytes: int = 32 * _MB, batch_bytes: int = 256 * _MB) -> None:
        self._body_bytes = body_bytes
        self._batch_bytes = batch_bytes
        self._known: dict[tuple[str, str], Route] = {}

    def of(self, method: str, path: str) -> Route:
        """The route of a call."""
        route = self._known.get((method, path))
        if route is None:
            route = self._route(method, path)
            if len(self._known) < _PATHS:
                self._known[method, path] = route
        return route

    def _route(self, method: str, path: str) -> Route:
        # A slash at its end leads to the same endpoint: it must be no way around a budget.
        kind = _KINDS.get((method, path.rstrip("/")), "other")
        name = _name(path)
        return Route(
            kind=kind,
            name=name,
            max_body_bytes=self._body_bytes if kind != "other" else self._limit(name),
            is_held=kind != "other",
        )

    def _limit(self, name: str) -> int:
        return _FILE_BYTES if name.startswith(("/v1/files", "/v1/skills")) else self._batch_bytes


def check_path(path: str) -> None:
    """Refuse what is no path, such as the ``*`` of ``OPTIONS *``: it has no URL upstream."""
    if not path.startswith("/"):
        raise NoPath(
            f"{path[:80]!r} is no path of the Claude API; ask for one, such as '/v1/models'"
        )


def _name(path: str) -> str:
    parts = path.split("/")[:_MAX_SEGMENTS]
    named = [
        "{id}" if _ID.fullmatch(part) and not _VERSION.fullmatch(part) else part for part in parts
    ]
    return "/".join(named)
