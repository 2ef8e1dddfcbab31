"""Services that answer many short conversations: support, RAG, classification, enrichment.

Their clients do not use the prompt cache: that is how such programs are found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from farthing.lab.scenarios import measured
from farthing.lab.scenarios.distributions import Quantiles
from farthing.lab.scenarios.draft import Client, Draft, result_block, text_block
from farthing.lab.scenarios.text import write_text
from farthing.traces.format import Conversation

__all__ = ["classification_stream", "nightly_enrichment", "rag_qa", "support_bot"]

_FIRST_AT: Final = 1_794_819_600.0  # 2026-11-16 09:00 UTC, a Monday
_NIGHT_AT: Final = 1_794_880_800.0  # 02:00 UTC the night after

# Assumptions, where nothing was recorded: how large a wiki prompt is, how fast people type and
# arrive, how large chunks, labels and documents are.
_WIKI_TOKENS: Final = 20_000
_CUSTOMERS_PER_SECOND: Final = 1 / 45
_CUSTOMER_GAP: Final = Quantiles(((0.05, 12), (0.5, 40), (0.9, 150), (0.99, 900)))
_SUPPORT_SECONDS: Final = Quantiles(((0.05, 0.5), (0.25, 1.2), (0.5, 2.3), (0.75, 4.5), (0.95, 13)))

_CORPUS: Final = 200
_CHUNKS: Final = 5
_CHUNK_TOKENS: Final = Quantiles(((0.05, 250), (0.5, 500), (0.95, 900)))
_QUESTIONS: Final = (1, 1, 1, 2, 2, 3, 4)
_READERS_PER_SECOND: Final = 1 / 20

_GUIDELINE_TOKENS: Final = 3_000
_TICKETS_PER_SECOND: Final = 0.5
_TICKET_TOKENS: Final = Quantiles(((0.05, 20), (0.5, 90), (0.95, 400)))

_RULEBOOK_TOKENS: Final = 2_000
_WORKERS: Final = 8
_DOCUMENT_TOKENS: Final = Quantiles(((0.05, 300), (0.5, 800), (0.95, 2_500)))
_SUMMARY_TOKENS: Final = Quantiles(((0.05, 120), (0.5, 250), (0.95, 450)))


@dataclass(slots=True)
class _Arrivals:
    """Instants at random: independent callers at an average rate."""

    dice: Random
    per_second: float
    at: float = _FIRST_AT

    def next(self) -> float:
        """When the next one comes."""
        self.at += self.dice.expovariate(self.per_second)
        return self.at


def support_bot(dice: Random, count: int) -> Iterator[Conversation]:
    """Customers talk to a bot whose system prompt is a whole wiki; it looks things up."""
    client = _client("support-bot", "claude-sonnet-5-5", _WIKI_TOKENS, dice, tools=_LOOKUPS)
    arrivals = _Arrivals(dice, _CUSTOMERS_PER_SECOND)
    for number in range(count):
        draft = Draft(client, f"support-bot/{number}", arrivals.next())
        calls = measured.SUPPORT_CALLS.draw_count(dice)
        draft.ask(text_block(write_text(measured.SUPPORT_USER_TEXT.draw(dice), dice)))
        for _call in range(calls - 1):
            _serve(draft, dice)
        draft.answer(_reply(dice), seconds=_SUPPORT_SECONDS.draw(dice))
        yield draft.finish()


_LOOKUPS: Final = ("find_customer", "find_order", "search_catalog", "refund", "hand_over")


def _serve(draft: Draft, dice: Random) -> None:
    seconds = _SUPPORT_SECONDS.draw(dice)
    if dice.random() < measured.SUPPORT_TOOL_RATIO:
        use = draft.use(dice.choice(_LOOKUPS), {"argument": f"#{dice.randrange(10**6)}"})
        draft.answer(use, seconds=seconds)
        found = write_text(measured.SUPPORT_RESULT.draw(dice), dice, kind="tool_result")
        draft.ask(result_block(use, found), after=0.1)
        return
    draft.answer(_reply(dice), seconds=seconds)
    said = write_text(measured.SUPPORT_USER_TEXT.draw(dice), dice)
    draft.ask(text_block(said), after=_CUSTOMER_GAP.draw(dice))


def rag_qa(dice: Random, count: int) -> Iterator[Conversation]:
    """Questions with five retrieved passages each; popular passages come again and again."""
    client = _client("rag-qa", "claude-sonnet-5-5", 900, dice)
    corpus = [write_text(_CHUNK_TOKENS.draw(dice), dice) for _ in range(_CORPUS)]
    arrivals = _Arrivals(dice, _READERS_PER_SECOND)
    for number in range(count):
        draft = Draft(client, f"rag-qa/{number}", arrivals.next())
        for question in range(dice.choice(_QUESTIONS)):
            # the square makes low numbers, the popular passages, likelier
            passages = [corpus[int(_CORPUS * dice.random() ** 2)] for _ in range(_CHUNKS)]
            asked = write_text(measured.SUPPORT_USER_TEXT.draw(dice), dice)
            after = _CUSTOMER_GAP.draw(dice) if question else 0.0
            draft.ask(*map(text_block, (*passages, asked)), after=after)
            draft.answer(_reply(dice), seconds=_SUPPORT_SECONDS.draw(dice))
        yield draft.finish()


def classification_stream(dice: Random, count: int) -> Iterator[Conversation]:
    """A stream of short texts, each classified in one call under the same long guideline."""
    client = _client("classification", "claude-haiku-5-5", _GUIDELINE_TOKENS, dice)
    arrivals = _Arrivals(dice, _TICKETS_PER_SECOND)
    for number in range(count):
        draft = Draft(client, f"classification/{number}", arrivals.next())
        draft.ask(text_block(write_text(_TICKET_TOKENS.draw(dice), dice)))
        draft.answer(text_block(f"label_{dice.randrange(12)}"), seconds=dice.uniform(0.4, 1.5))
        yield draft.finish()


def nightly_enrichment(dice: Random, count: int) -> Iterator[Conversation]:
    """Documents enriched at two in the morning by eight workers; nobody waits for it."""
    client = _client("enrichment", "claude-haiku-5-5", _RULEBOOK_TOKENS, dice)
    free_at = [_NIGHT_AT] * _WORKERS
    for number in range(count):
        worker = min(range(_WORKERS), key=free_at.__getitem__)
        draft = Draft(client, f"enrichment/{number}", free_at[worker])
        draft.ask(text_block(write_text(_DOCUMENT_TOKENS.draw(dice), dice)))
        summary = write_text(_SUMMARY_TOKENS.draw(dice), dice)
        draft.answer(text_block(summary), seconds=dice.uniform(2, 6))
        free_at[worker] += draft.now
        yield draft.finish()


def _client(
    name: str, model: str, system_tokens: int, dice: Random, *, tools: tuple[str, ...] = ()
) -> Client:
    return Client(
        model=model,
        task_type=name,
        system=[text_block(write_text(system_tokens, dice))],
        tools=[_tool(tool, dice) for tool in tools],
        interactive=name in {"support-bot", "rag-qa"},
    )


def _tool(name: str, dice: Random) -> dict[str, Any]:
    return {
        "name": name,
        "description": write_text(120, dice),
        "input_schema": {"type": "object", "properties": {"argument": {"type": "string"}}},
    }


def _reply(dice: Random) -> dict[str, Any]:
    return text_block(write_text(measured.SUPPORT_REPLY.draw(dice), dice))
