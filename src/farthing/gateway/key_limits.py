"""What a key that is limited to some models may send: every model a request names must be allowed.

Rules from outside (API facts, sections 4.8 and 5, 2026-11): a request names models in ``model``, in
``fallbacks`` and in server tools that ask another model (the advisor). Of a member given twice
readers differ on which one counts, so each counts here.

The rows of a batch are Messages requests, each looked at as one. Whoever reads the batch must find
the same rows in it, so a body is refused that is compressed or no UTF-8: a second reading of the
same bytes could show others.

Where the models of a call cannot be seen (endpoints we do not know), a limited key may read and
delete, and not start anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from farthing.core.batch_scan import RowCutter
from farthing.core.journal_chain import Fact, JournalEvent, journal_event
from farthing.core.keys import VirtualKey
from farthing.errors import RequestError
from farthing.wire.request import Request

__all__ = ["LimitedRows", "ModelNotAllowed", "check_models", "check_route", "refusal_event"]

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
_SEEN: Final = frozenset({"/v1/messages", "/v1/messages/count_tokens"})
_FILES: Final = "/v1/files"
#: a batch is created, whose rows are looked at, or cancelled
_BATCHES: Final = re.compile(r"/v1/messages/batches(?:/[^/]+/cancel)?/?")
#: members of a request in which models are named, besides ``model``
_NAMING: Final = frozenset({"fallbacks", "fallback_model", "tools"})


class ModelNotAllowed(RequestError):
    """The key may not use this model."""

    code = "access.model_not_allowed"
    status_hint = 403


def check_route(key: VirtualKey, method: str, path: str) -> None:
    """Can the models of this call be seen, if the key is limited to some?"""
    if key.models is None or method in _READING or path in _SEEN or path == _FILES:
        return
    if method == "POST" and _BATCHES.fullmatch(path):
        return
    raise ModelNotAllowed(
        f"the key {key.name!r} is limited to some models, and those of {method[:16]} "
        f"{path[:100]!r} cannot be checked; take a key without that limit"
    )


def check_models(key: VirtualKey, body: bytes) -> None:
    """Raise where a Messages request names a model that the key may not use."""
    if key.models is None:
        return
    models = list(_models(body))
    if not models:
        raise ModelNotAllowed(f"the key {key.name!r} is limited to some models: name one")
    for model in models:
        if not key.allows_model(model):
            allowed = ", ".join(key.models)
            raise ModelNotAllowed(
                f"the key {key.name!r} may not use {model[:120]!r}; it may use {allowed}"
            )


class LimitedRows:
    """The rows of a batch that a limited key creates, as the pieces of its body come."""

    def __init__(self, key: VirtualKey) -> None:
        self._key = key
        self._cutter = RowCutter()
        self._is_empty = True

    def feed(self, piece: bytes) -> None:
        """Look at a piece cut anywhere; raises where a row names what the key may not use."""
        if b"\0" in piece:  # JSON has none, but in UTF-16 and UTF-32
            raise self._unseen()
        for row in self._cutter.feed(piece):
            self._is_empty = False
            if row is None:
                raise self._unseen()
            self._check(row)

    def finish(self) -> None:
        """That was all of it."""
        if self._is_empty:
            raise self._unseen()

    def _check(self, row: bytes) -> None:
        fields = Request.parse(row).fields
        params = [row[field.start : field.end] for field in fields if field.name == "params"]
        if not params:
            raise self._unseen()
        for body in params:
            check_models(self._key, body)

    def _unseen(self) -> ModelNotAllowed:
        return ModelNotAllowed(
            f"the key {self._key.name!r} is limited to some models, and those of this batch cannot "
            "be checked: send plain JSON with rows of up to 32 MB"
        )


def refusal_event(key: VirtualKey, error: ModelNotAllowed, at: datetime) -> JournalEvent:
    """For the journal: a key wanted what it may not have."""
    facts: dict[str, Fact] = {"why": error.code, "key": key.key_id, "said": str(error)}
    return journal_event("call.refused", at, actor="engine", subject=f"key:{key.name}", facts=facts)


def _models(body: bytes) -> Iterator[str]:
    request = Request.parse(body)
    for field in request.fields:
        if field.name != "model" and field.name not in _NAMING:
            continue
        value = _loaded(request.body[field.start : field.end])
        if field.name == "model" or isinstance(value, str):
            yield value if isinstance(value, str) else ""
        else:
            yield from _inside(value)


class _Pairs(list[tuple[str, Any]]):
    """An object with each of its members, also those that are given twice."""


def _loaded(raw: bytes) -> Any:
    try:
        return json.loads(raw, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        raise RequestError("the request's models cannot be read") from None


def _inside(value: Any) -> Iterator[str]:
    """The models in a list of objects, or in one."""
    for one in [value] if isinstance(value, _Pairs) else value or []:
        if isinstance(one, str):
            yield one
        elif isinstance(one, _Pairs):
            yield from (said for name, said in one if name == "model" and isinstance(said, str))
