"""What becomes of a request before it is sent: nothing, or the one switch ``--cache auto``.

A planner is a function ``(request, traits) -> Plan``; whatever it declines says why. Codes of
accepted levers begin with ``+``, of declined ones with ``-``.

``cache.auto`` asks the provider to place one breakpoint itself (top-level ``cache_control``, API
facts 2.1) for clients that mark nothing. It leaves alone: a client that marks anything, threads
(the API refuses the field there, 4.8), models we do not know and prompts too short to be kept.
What remains it cannot break: a single mark, placed by the provider where a mark may stand, is
within every rule of ``wire.validity`` (a test tries it on all the rules' examples).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from farthing.errors import RequestError
from farthing.wire.apply import apply
from farthing.wire.edits import SetTopLevel
from farthing.wire.models import ModelTraits
from farthing.wire.request import Request

__all__ = ["Plan", "Planner", "plan_cache_auto", "plan_nothing"]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The body to send and what was decided about it."""

    body: bytes
    reasons: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Was no lever accepted? Then the body is the client's."""
        return not self.reasons or not any(reason.startswith("+") for reason in self.reasons)


Planner = Callable[[Request, ModelTraits | None], Plan]

_MARK: Final = "cache_control"
_MARK_BYTES: Final = b"cache_control"
_EPHEMERAL: Final = b'{"type":"ephemeral"}'


def plan_nothing(request: Request, traits: ModelTraits | None) -> Plan:  # noqa: ARG001  a Planner
    """The body as the client sent it."""
    return Plan(body=request.body)


def plan_cache_auto(request: Request, traits: ModelTraits | None) -> Plan:
    """Automatic prompt caching where the client asks for none."""
    try:
        declined = _why_not(request, traits)
        if declined is not None:
            return Plan(body=request.body, reasons=(f"-cache.auto:{declined}",))
        body = apply(request, [SetTopLevel(_MARK, _EPHEMERAL)])
    except RequestError:
        return Plan(body=request.body, reasons=("-cache.auto:unreadable",))
    return Plan(body=body, reasons=("+cache.auto",))


def _why_not(request: Request, traits: ModelTraits | None) -> str | None:
    if _is_marked(request):
        return "client_marks"
    if traits is None:
        return "unknown_model"
    if request.field("thread") is not None:
        return "thread"
    # every token covers at least one byte
    if len(request.body) < traits.min_cacheable_tokens:
        return "too_short"
    return None


def _is_marked(request: Request) -> bool:
    """Does the client mark anything? Also where it says null, it has thought of it."""
    if request.member(_MARK) is not None:
        return True
    if _MARK_BYTES not in request.body and b"\\u" not in request.body:
        return False
    return any(block.cache_control is not None for block in request.blocks)
