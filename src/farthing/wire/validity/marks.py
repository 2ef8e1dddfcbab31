"""Rules of ``cache_control``: how many, where, and which lifetime before which (2.1, 2.4, 8.12)."""

from __future__ import annotations

from collections.abc import Iterator

from farthing.wire.blocks import Block
from farthing.wire.rendering import THINKING_KINDS, is_deferred, is_markable
from farthing.wire.validity.rule import Rule, RuleHit, Subject
from farthing.wire.validity.shapes import is_empty_text, member, word

__all__ = ["RULES"]

_LIMIT = 4
_LIFETIMES = ("5m", "1h")


def _automatic(subject: Subject) -> tuple[Block, str] | None:
    """The block that the top-level ``cache_control`` marks: the last that can carry a mark."""
    if subject.value("cache_control") is None:
        return None
    ttl = subject.word("cache_control", "ttl") or "5m"
    eligible = (block for block in reversed(subject.request.blocks) if is_markable(block))
    return next(((block, ttl) for block in eligible), None)


def _all_marks(subject: Subject) -> list[tuple[Block, str, str]]:
    """Explicit and automatic marks in render order, each with its lifetime and where it stands."""
    marks = [(block, ttl, f"{block.address}.cache_control") for block, ttl in subject.marks]
    automatic = _automatic(subject)
    if automatic is None or any(block is automatic[0] for block, _, _ in marks):
        return marks
    order = {id(block): place for place, block in enumerate(subject.request.blocks)}
    marks.append((*automatic, "cache_control"))
    return sorted(marks, key=lambda mark: order[id(mark[0])])


def _too_many(subject: Subject) -> Iterator[RuleHit]:
    found = len(_all_marks(subject))
    if found > _LIMIT:
        message = "A maximum of 4 blocks with cache_control may be provided. "
        yield RuleHit("", f"{message}Found {found}.")


def _ttl_order(subject: Subject) -> Iterator[RuleHit]:
    short_seen = False
    for _, ttl, address in _all_marks(subject):
        if ttl == "1h" and short_seen:
            yield RuleHit(
                f"{address}.ttl",
                "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control "
                "block. Note that blocks are processed in the following order: `tools`, "
                "`system`, `messages`.",
            )
        short_seen = short_seen or ttl == "5m"


def _automatic_ttl(subject: Subject) -> Iterator[RuleHit]:
    automatic = _automatic(subject)
    own = None if automatic is None else automatic[0].cache_control
    if automatic is not None and own is not None and own.ttl != automatic[1]:
        yield RuleHit(
            "cache_control.ttl",
            f"automatic caching asks for ttl={automatic[1]!r}, but its block "
            f"{automatic[0].address} is already marked with ttl={own.ttl!r}",
        )


def _value(subject: Subject) -> Iterator[RuleHit]:
    own = ((block.address, block.get("cache_control")) for block, _ in subject.marks)
    marks = [("", subject.value("cache_control")), *((f"{place}.", raw) for place, raw in own)]
    for place, raw in marks:
        if raw is None:
            continue
        if word(member(raw, "type")) != "ephemeral":
            yield RuleHit(f"{place}cache_control.type", "Input should be 'ephemeral'")
        ttl = member(raw, "ttl")
        if ttl is not None and word(ttl) not in _LIFETIMES:
            yield RuleHit(f"{place}cache_control.ttl", "Input should be '5m' or '1h'")


def _on_thinking(subject: Subject) -> Iterator[RuleHit]:
    for block, _ in subject.marks:
        if block.kind in THINKING_KINDS:
            yield RuleHit(f"{block.address}.cache_control", f"not allowed on {block.kind} blocks")


def _on_empty_text(subject: Subject) -> Iterator[RuleHit]:
    for block, _ in subject.marks:
        if is_empty_text(block):
            yield RuleHit(block.address, "cache_control cannot be set for empty text blocks")


def _on_deferred_tool(subject: Subject) -> Iterator[RuleHit]:
    for block, _ in subject.marks:
        if is_deferred(block):
            yield RuleHit(block.address, "a tool with defer_loading cannot carry cache_control")


RULES = (
    Rule(
        code="cache.too_many",
        text="at most four marks in a request, the automatic one included",
        source="2.1, 8.12",
        check=_too_many,
    ),
    Rule(
        code="cache.ttl_order",
        text="in render order, every 1-hour mark stands before every 5-minute mark",
        source="2.4, 8.12",
        check=_ttl_order,
    ),
    Rule(
        code="cache.automatic_ttl",
        text="the automatic mark does not contradict a mark on the same block",
        source="2.1",
        check=_automatic_ttl,
    ),
    Rule(
        code="cache.value",
        text="a mark is ephemeral, for 5m or 1h",
        source="2.1",
        check=_value,
    ),
    Rule(
        code="cache.on_thinking",
        text="no mark on a thinking block",
        source="2.1, 8.12",
        check=_on_thinking,
    ),
    Rule(
        code="cache.on_empty_text",
        text="no mark on an empty text block",
        source="2.1, 8.12; wording [T] NousResearch/hermes-agent#1216",
        check=_on_empty_text,
    ),
    Rule(
        code="cache.on_deferred_tool",
        text="no mark on a tool whose loading is deferred: it is not in the prefix",
        source="2.6, 6.3; [T] Wei-Shaw/sub2api#5004",
        check=_on_deferred_tool,
    ),
)
