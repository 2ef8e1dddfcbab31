"""What an operator declares for the parts of a call that its bytes do not bound.

A request can name an image, a document or a file that lies elsewhere, go on with a thread that the
provider keeps, or use tools that run at the provider. The provider's own limits bound these, some
only by the model's context window. Who knows more says so, in tokens for each of them; what is
declared takes the place of that limit where it is lower. It is a promise of the operator's, no
proof: a call that turns out larger costs more than was held, and the next one is refused.

Rules of this file: pure; a request that cannot be read has nothing to be allowed for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from farthing.core.estimate_media import estimate_document, estimate_image
from farthing.errors import RequestError
from farthing.wire.models import ModelTraits
from farthing.wire.request import Request

__all__ = ["NOTHING_DECLARED", "Allowances", "saved_by"]

_SOURCE: Final = b'"source"'

_Unseen = Literal["image_url", "document_url", "file"]


class Allowances(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens, each for one of its kind; None: the provider's own limit."""

    #: an image by its URL; at most what the model's tier of images takes
    image_url: int | None = None
    #: a document by its URL; at most 600 pages of text and image
    document_url: int | None = None
    #: an image or a document by its file id; at most the same
    file: int | None = None
    #: what a thread holds beside the messages that are sent; at most the context window
    thread: int | None = None
    #: what results of server tools add to the prompt of one pass; None: nothing, a budget's
    #: ``passes`` says how many whole passes are held
    server_tools: int | None = None
    #: searches of one answer where nothing limits them
    searches: int = 200


NOTHING_DECLARED: Final = Allowances()


def saved_by(allowances: Allowances, request: Request, traits: ModelTraits) -> int:
    """By how many tokens what is declared is below what was taken for a request's sources."""
    declared = {
        "image_url": allowances.image_url,
        "document_url": allowances.document_url,
        "file": allowances.file,
    }
    if all(tokens is None for tokens in declared.values()):
        return 0
    most = {
        "image": estimate_image(None, traits).bound,
        "document": estimate_document(None, traits).bound,
    }
    saved = 0
    for (kind, name), count in _unseen(request).items():
        tokens = declared[name]
        if tokens is not None:
            saved += count * max(0, most[kind] - tokens)
    return saved


def _unseen(request: Request) -> Counter[tuple[str, _Unseen]]:
    """How often a request names something that is not in it."""
    found: Counter[tuple[str, _Unseen]] = Counter()
    try:
        for block in request.blocks:
            if _SOURCE in block.raw:
                found.update(_sources(msgspec.json.decode(block.raw)))
    except (RequestError, msgspec.DecodeError, RecursionError):
        return Counter()
    return found


def _sources(value: object) -> Iterator[tuple[str, _Unseen]]:
    if isinstance(value, list):
        for each in value:
            yield from _sources(each)
    if not isinstance(value, dict):
        return
    kind, source = value.get("type"), value.get("source")
    where = source.get("type") if isinstance(source, dict) else None
    if kind in {"image", "document"} and where == "url":
        yield kind, "image_url" if kind == "image" else "document_url"
    elif kind in {"image", "document"} and where == "file":
        yield kind, "file"
    else:
        for each in value.values():
            yield from _sources(each)
