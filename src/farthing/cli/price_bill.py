"""One bill: the counts a user gave, checked and priced, as a table or as JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from farthing.cli.table import bold, render_table
from farthing.errors import ConfigError
from farthing.pricing import Cost, RateCard, Rates, dump_usd, effective_rates, price, show_usd
from farthing.wire.models import ModelTraits
from farthing.wire.usage import Usage

__all__ = ["Answer", "Question", "ask", "bill_as_json", "print_bill"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the user typed; None where nothing was said."""

    prompt: int | None
    cached: int
    write: int | None
    ttl: str | None
    output: int
    searches: int
    batch: bool
    geo: str | None
    fast: bool

    @property
    def written(self) -> int:
        """Tokens written to the cache; a TTL alone means: all that is not read."""
        if self.write is None:
            return (self.prompt or 0) - self.cached if self.ttl else 0
        return self.write


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The priced usage, with what the user should know about it."""

    card: RateCard
    usage: Usage
    rates: Rates
    cost: Cost
    notes: tuple[str, ...]


def ask(question: Question, card: RateCard, traits: ModelTraits | None) -> Answer:
    """Check the question, price it; ``ConfigError`` says which numbers do not fit together."""
    _check_counts(question)
    _check_service(question, card)
    hour = question.ttl == "1h"
    usage = Usage(
        uncached=(question.prompt or 0) - question.cached - question.written,
        cache_write_5m=0 if hour else question.written,
        cache_write_1h=question.written if hour else 0,
        cache_read=question.cached,
        output=question.output,
        web_search_requests=question.searches,
        service_tier="batch" if question.batch else None,
        speed="fast" if question.fast and card.fast else None,
        inference_geo=question.geo,
    )
    return Answer(
        card=card,
        usage=usage,
        rates=effective_rates(card, prompt_tokens=usage.prompt, factor=_factor(usage, card)),
        cost=price(usage, card),
        notes=tuple(_notes(question, usage, card, traits)),
    )


def _check_counts(question: Question) -> None:
    if question.prompt is None:
        if question.cached or question.write or question.ttl:
            raise ConfigError(
                "--cached, --write and --ttl are parts of --prompt; give --prompt too"
            )
        return
    parts = question.cached + (question.write or 0)
    if parts > question.prompt:
        raise ConfigError(
            f"--cached {question.cached:,} and --write {question.write or 0:,} are parts of the "
            f"prompt, but --prompt is {question.prompt:,}: give all input as --prompt "
            f"(at least {parts:,}; the API's `input_tokens` leaves the cached ones out)"
        )


def _check_service(question: Question, card: RateCard) -> None:
    if question.batch and question.fast:
        raise ConfigError("--fast and --batch exclude each other: batches have no fast mode")
    if question.batch and card.batch is None:
        raise ConfigError(f"{card.id} has no batch price")
    if question.geo == "us" and not card.geo:
        raise ConfigError(f"{card.model} has no --geo: the API refuses inference_geo before 4.6")
    if question.fast and card.fast is None and card.model != "claude-opus-4-6":
        raise ConfigError(f"{card.model} has no fast mode on that day: no price for --fast")


def _factor(usage: Usage, card: RateCard) -> Fraction:
    factor = Fraction(1)
    if usage.service_tier == "batch" and card.batch is not None:
        factor *= card.batch
    if usage.speed == "fast" and card.fast is not None:
        factor *= card.fast
    return factor * dict(card.geo).get(usage.inference_geo or "", Fraction(1))


def _notes(
    question: Question, usage: Usage, card: RateCard, traits: ModelTraits | None
) -> Iterator[str]:
    cached = usage.prompt - usage.uncached
    if traits and 0 < cached < traits.min_cacheable_tokens:
        yield (
            f"too short to cache on this model: {cached:,} of at least "
            f"{traits.min_cacheable_tokens:,} tokens; the API would bill them as plain input"
        )
    if question.ttl and question.write is None:
        yield f"--ttl without --write: all {question.written:,} tokens not read are written"
    if question.fast and card.fast is None:
        yield "speed: fast is accepted on this model, but served and billed as standard"
    band = next((b.up_to for b in card.bands if b.up_to and usage.prompt > b.up_to), None)
    if band is not None:
        yield f"the prompt is over {band:,} tokens: the upper band prices all of it, output too"
    if traits and usage.prompt > traits.context_tokens:
        yield f"over the context window of {traits.context_tokens:,} tokens: the API refuses this"
    if traits and usage.output > traits.max_output_tokens:
        yield f"more output than the model gives at once ({traits.max_output_tokens:,} tokens)"


def print_bill(answer: Answer, *, on: date) -> None:
    """The bill as a table, notes on standard error."""
    print(f"{answer.card.model} on {on} (rate card {answer.card.id})\n")
    print(_table(answer))
    for note in answer.notes:
        print(f"note: {note}", file=sys.stderr)


def _table(answer: Answer) -> str:
    amounts = dict(answer.cost.components)
    rows = [
        [
            name.replace("_", " "),
            f"{getattr(answer.usage, name):,}",
            f"{dump_usd(rate * 10**6)}",
            show_usd(amounts[name]),
        ]
        for name, rate in answer.rates.items
        if getattr(answer.usage, name)
    ]
    if answer.usage.web_search_requests:
        fee = show_usd(answer.cost.server_tools)
        rows.append(["web searches", f"{answer.usage.web_search_requests:,}", "", fee])
    tokens = f"{answer.usage.prompt + answer.usage.output:,}"
    rows.append(["total", tokens, "", bold(show_usd(answer.cost.total), sys.stdout)])
    return render_table(["", "tokens", "$/Mtok", "cost"], rows, total=True)


def bill_as_json(answer: Answer, *, asked: str, on: date, warnings: list[str]) -> dict[str, object]:
    """The bill as one JSON object; money as exact decimal strings."""
    usage = answer.usage
    counts = {name: getattr(usage, name) for name, _ in answer.rates.items}
    return {
        "model": answer.card.model,
        "asked": asked,
        "on": on.isoformat(),
        "rate_card": answer.card.id,
        "currency": "USD",
        "usage": counts
        | {"prompt": usage.prompt, "web_search_requests": usage.web_search_requests},
        "served": {
            "batch": usage.service_tier == "batch",
            "geo": usage.inference_geo or "global",
            "speed": usage.speed or "standard",
        },
        "usd_per_mtok": {name: dump_usd(rate * 10**6) for name, rate in answer.rates.items},
        "cost": answer.cost.dump(),
        "warnings": warnings,
        "notes": list(answer.notes),
        "sources": [source.url for source in answer.card.sources],
    }
