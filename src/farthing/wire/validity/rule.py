"""What a validity rule is, and what it looks at.

A rule is a row of a table: a stable code, what must hold in our words, where that is written, and a
small function that yields an address and a message for each place where it does not hold. The
messages follow the provider's wording where that is known, because clients match on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, groupby, zip_longest
from operator import attrgetter
from typing import Literal, NamedTuple

from farthing.wire.blocks import Block, Message
from farthing.wire.models import ModelTraits
from farthing.wire.request import Request
from farthing.wire.validity.shapes import member, number, word

__all__ = ["Rule", "RuleHit", "Severity", "Subject", "Turn", "Violation"]

#: ``refused``: the API answers 400. ``advice``: it accepts, and the conversation gets worse.
Severity = Literal["refused", "advice"]


class RuleHit(NamedTuple):
    """One place where a rule does not hold."""

    address: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A broken rule and where; the text shows names and ids, never content."""

    code: str
    #: "messages.3.content.0", or "" where the request as a whole is meant
    address: str
    message: str
    severity: Severity = "refused"

    def __str__(self) -> str:
        return f"{self.address}: {self.message}" if self.address else self.message


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row of the table of rules."""

    code: str
    #: what must hold
    text: str
    #: where it is written: a section of the API facts; [T] third-party evidence, [I] our inference
    source: str
    check: Callable[[Subject], Iterable[RuleHit]]
    severity: Severity = "refused"
    #: does the rule depend on facts of the model
    needs_model: bool = False

    def violations(self, subject: Subject) -> Iterator[Violation]:
        """Each place of ``subject`` where this rule does not hold."""
        if self.needs_model and subject.traits is None:
            return
        for address, message in self.check(subject):
            yield Violation(
                code=self.code, address=address, message=message, severity=self.severity
            )


class Turn(NamedTuple):
    """Consecutive messages of one role: the API reads them as one (8.8)."""

    role: str
    #: of its first message
    address: str
    blocks: tuple[Block, ...]

    def of(self, *kinds: str) -> list[Block]:
        """Its blocks of these kinds."""
        return [block for block in self.blocks if block.kind in kinds]


class Subject:
    """A request under examination, with what several rules ask of it, found once."""

    def __init__(
        self, request: Request, traits: ModelTraits | None, *, api_version: str, is_batch: bool
    ) -> None:
        self.request = request
        self.traits = traits
        self.api_version = api_version
        #: is this an item of a Message Batch
        self.is_batch = is_batch

    @property
    def model(self) -> ModelTraits:
        """The facts of the model, in a rule that says it needs them."""
        assert self.traits is not None
        return self.traits

    @cached_property
    def turns(self) -> Sequence[Turn]:
        """The messages, those of one role in a row merged."""
        return [
            Turn(role, f"messages.{first.index}", _content((first, *more)))
            for role, (first, *more) in groupby(self.request.messages, key=attrgetter("role"))
        ]

    @cached_property
    def following(self) -> Sequence[tuple[Turn, Turn | None]]:
        """Each turn with the one after it."""
        return list(zip_longest(self.turns, self.turns[1:]))

    @cached_property
    def _by_kind(self) -> dict[str, list[Block]]:
        found: dict[str, list[Block]] = {}
        for block in self.request.blocks:
            found.setdefault(block.kind, []).append(block)
        return found

    def of(self, *kinds: str) -> list[Block]:
        """All blocks of these kinds, in render order kind by kind."""
        return [block for kind in kinds for block in self._by_kind.get(kind, ())]

    @cached_property
    def marks(self) -> Sequence[tuple[Block, str]]:
        """The blocks the client marked, in render order, each with the lifetime it asked for."""
        marked = ((block, block.cache_control) for block in self.request.blocks)
        return [(block, mark.ttl) for block, mark in marked if mark is not None]

    @cached_property
    def is_continuation(self) -> bool:
        """Does the body hold only the new messages of a thread (4.8)?"""
        return self.word("thread", "type") == "continue"

    # -- parameters

    def value(self, *path: str) -> bytes | None:
        """The JSON slice at a path of top-level field and member names; None if absent or null."""
        raw = self.request.field(path[0])
        for name in path[1:]:
            raw = None if raw is None else member(raw, name)
        return raw

    def word(self, *path: str) -> str | None:
        """The string at a path; None if there is none."""
        return word(self.value(*path))

    def number(self, *path: str) -> int | None:
        """The whole number at a path; None if there is none."""
        return number(self.value(*path))

    @cached_property
    def effort(self) -> str:
        """The effort asked for, or the model's default."""
        return self.word("output_config", "effort") or self.model.default_effort

    @cached_property
    def is_tool_use_forced(self) -> bool:
        """Does ``tool_choice`` leave the model no choice?"""
        return self.word("tool_choice", "type") in ("any", "tool")


def _content(messages: Iterable[Message]) -> tuple[Block, ...]:
    return tuple(chain.from_iterable(message.blocks for message in messages))
