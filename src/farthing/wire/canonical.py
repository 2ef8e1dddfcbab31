r"""One spelling for every block that the provider renders alike.

The prompt cache is keyed by what the provider renders from a request, not by the request's bytes:
marks, whitespace between values, ``\u00e9`` against ``é`` and the order of a block's own members
do not reach the model. The order of keys *inside* a tool's input or schema does (section 2.6 of the
API facts: clients whose maps iterate randomly break their own cache), and so may the spelling of a
float; both stay as they came. A string content is the text block it stands for.

If two spellings fell together wrongly we would predict a hit that is a miss, so the form drops
nothing but what the list above names.
"""

from __future__ import annotations

from typing import Any

import msgspec

from farthing.errors import RequestError
from farthing.wire import json

__all__ = ["normal", "read_block", "rendered"]

_decode = msgspec.json.Decoder(float_hook=lambda text: msgspec.Raw(text.encode())).decode
_MARK = "cache_control"


def normal(raw: bytes) -> bytes:
    """The normal form of any value, its keys in their order."""
    return _write(_read(raw))


def read_block(raw: bytes) -> dict[str, Any]:
    """A block's members decoded, floats kept as they are spelled; a string is a text block."""
    value = _read(raw)
    return {"type": "text", "text": value} if isinstance(value, str) else value


def rendered(value: dict[str, Any]) -> bytes:
    """The normal form of a block read by ``read_block``, which loses its marks here."""
    value.pop(_MARK, None)
    for inner in _inner_blocks(value):
        if isinstance(inner, dict):
            inner.pop(_MARK, None)
    return _write({name: value[name] for name in sorted(value)})


def _read(raw: bytes) -> Any:
    try:
        return _decode(raw)
    except RecursionError:
        raise _too_deep() from None


def _write(value: Any) -> bytes:
    try:
        return json.encode(value)
    except RecursionError:
        raise _too_deep() from None


def _too_deep() -> RequestError:
    return RequestError("the request is nested too deeply to be read")


def _inner_blocks(block: dict[str, Any]) -> list[Any]:
    """The blocks inside a tool result or a document, whose marks stand for their parent's."""
    holder = block.get("content") if block.get("type") == "tool_result" else None
    if block.get("type") == "document":
        source = block.get("source")
        holder = source.get("content") if isinstance(source, dict) else None
    return holder if isinstance(holder, list) else []
