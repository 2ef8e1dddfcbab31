"""A request of the SDK as a call of ours, and what of it goes on to Claude.

Rules from outside (anthropic 2.11.0, ``_request.py``, ``_base_client.py``): a middleware sees each
attempt with the options of its call; the client's own defaults (its headers, its key) are added
later. The body is what ``openapi_dumps`` makes of ``json_data``: done here as well, so that what
is looked at are the very bytes that leave. A header set to ``Omit`` is left out, also where it is a
default of the client.

Rules of this file: what is not planned is not touched; the SDK serialises it itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from copy import copy
from typing import TYPE_CHECKING, Final

from anthropic import Omit
from anthropic._utils._json import openapi_dumps

from farthing.core.exchange_call import Call, Moment, route_of
from farthing.sdk.task import current_task

if TYPE_CHECKING:
    from anthropic import APIRequest

__all__ = ["body_of", "call_of", "outgoing"]

_OWN_PREFIX: Final = "x-farthing-"
_TASK: Final = "x-farthing-task"
#: what a client may have among its default headers, which are added behind our back
_OWN: Final = tuple(
    f"{_OWN_PREFIX}{name}"
    for name in "task task-type parent root key budget-usd bypass levers".split()
)
_HELD: Final = frozenset({"messages", "count_tokens"})
#: where the SDK finds its key if it is given none, and the header it goes into
_KEYS: Final = {
    "ANTHROPIC_API_KEY": ("x-api-key", ""),
    "ANTHROPIC_AUTH_TOKEN": ("authorization", "Bearer "),
}


def call_of(request: APIRequest, *, exchange_id: str, received: Moment) -> Call:
    """What an exchange looks at."""
    method = request.method.upper()
    path = _path(request.url)
    is_held = route_of(method, path).endpoint in _HELD
    return Call(
        exchange_id=exchange_id,
        method=method,
        path=path,
        headers=_headers(request),
        received=received,
        body=body_of(request) if is_held else b"",
    )


def outgoing(request: APIRequest, body: bytes | None) -> APIRequest:
    """The request without our own headers; with another body, if one is given."""
    made, options = copy(request), copy(request.options)
    kept = {
        name: value
        for name, value in request.headers.items()
        if not name.lower().startswith(_OWN_PREFIX)
    }
    options.headers = {**kept, **dict.fromkeys(_OWN, Omit())}
    if body is not None:
        options.content, options.json_data = body, None
    made.options = options
    return made


def _path(url: str) -> str:
    """Without the query; the results of a batch are asked for by an absolute URL."""
    _, scheme_end, rest = url.partition("://")
    path = rest.partition("/")[2] if scheme_end else url
    return "/" + path.partition("?")[0].lstrip("/")


def _headers(request: APIRequest) -> Mapping[str, str]:
    """As far as they are known here; the task that is entered counts where no header names one."""
    said = {
        name.lower(): value for name, value in request.headers.items() if isinstance(value, str)
    }
    task = current_task()
    if task is not None and _TASK not in said:
        said = {**task.headers(), **said}
    for variable, (header, prefix) in _KEYS.items():
        if not {"x-api-key", "authorization"} & said.keys() and (key := os.environ.get(variable)):
            said[header] = f"{prefix}{key}"
    # one attempt after another of one call: the same bytes, counted
    said["x-stainless-retry-count"] = str(request.retries_taken)
    return said


def body_of(request: APIRequest) -> bytes:
    """What the SDK will send."""
    options = request.options
    if isinstance(options.content, bytes):
        return options.content
    return b"" if options.json_data is None else openapi_dumps(options.json_data)
