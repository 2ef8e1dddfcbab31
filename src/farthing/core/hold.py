"""The most a call can cost: what a budget holds before it is sent, and the end of an interval.

Theory of operation. Every token covers at least one byte, so a body of *n* bytes is a prompt of at
most *n* tokens plus what the provider adds. That holds while the body *is* the prompt. Where it is
not, the bound is wider: images and documents are weighed by their own rules (``core.estimate``);
threads and containers can bring whatever fits the context window; server tools, compaction and
fallbacks sample several times for one answer, perhaps on other models.

Prompt tokens are taken at the dearest rate they can meet (written for five minutes, or for an hour
where the body asks for that), output at ``max_tokens``, both with the surcharges that the request
can meet: a workspace may pin its region without a word in the request.

Two numbers. ``high_pico`` is a proof: no answer to this request costs more. ``hold_pico`` is what a
budget holds: the same, but for one pass on the model that was asked. They differ where one answer
may take several passes; held in full, those would need a hundred times what they ever cost.

A request of the usual shape (``farthing.wire.usual``) has neither media nor tools that the provider
defines, and no mark for an hour. In any other those are looked for as bytes, because parsing a long
conversation costs more than all the rest: a few words that every such block must contain (quotes
inside a text are escaped), and closer only where one is found. A false alarm makes the bound wider,
never wrong; letters written as escapes are an alarm.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from typing import Final

import msgspec

from farthing.core.allowances import NOTHING_DECLARED, Allowances, saved_by
from farthing.core.estimate import BlockMemo, tally_request
from farthing.errors import RequestError, UnpricedModelError
from farthing.pricing.billing import price
from farthing.pricing.cards import ONE, RateCard
from farthing.pricing.catalog import Catalog
from farthing.wire.models import ModelTraits
from farthing.wire.request import Request
from farthing.wire.usage import Usage

__all__ = ["FRAME_TOKENS", "Terms", "WorstCase", "worst_case"]

#: frames of the request and the tools' hidden prompts, at most (API facts, section 5)
FRAME_TOKENS: Final = 8_192

#: An inner loop of server tools stops after 10 passes (API facts 4.2); two more for what surrounds
#: it: a compaction, a declined attempt.
_PASSES: Final = 12
# A pattern that begins with a literal is looked for at twice the speed of ``in``.
#: every image and document has a source
_SOURCE: Final = re.compile(rb'"source"')
_MEDIA: Final = (b'"image"', b'"document"')
#: letters, digits and ``_`` written as escapes, behind which any of these words could hide
_ESCAPED: Final = re.compile(rb"\\u00[3567]")
#: every tool that the provider defines has a date in its type, as ``web_search_20250305``
_DATE: Final = b"_20"
_DATED: Final = re.compile(rb'_20\d{6}"')
#: tools that run inside the provider's own loop, by how their type begins (API facts 1.4, 6.3)
_SERVER_TOOLS: Final = (b'"web_', b'"code_execution_2', b'"advisor_2', b'"tool_search_')
#: dated tools that the client runs: one pass, and a hidden prompt that the estimator knows
_CLIENT_TOOLS: Final = ("bash_", "text_editor_", "computer_", "memory_", "browser_toolset_")
#: top-level fields that make one answer of several passes, and that bring a prompt from elsewhere
_SEVERAL: Final = frozenset(
    {"mcp_servers", "fallbacks", "context_management", "compaction", "container"}
)
_CONTAINER: Final = frozenset({"container"})
_ELSEWHERE: Final = frozenset({"thread", *_CONTAINER})
_UNUSUAL: Final = _SEVERAL | _ELSEWHERE
_HOUR: Final = re.compile(rb'"1h"')


class WorstCase(msgspec.Struct, frozen=True, kw_only=True):
    """What one attempt costs at most."""

    #: of one pass
    prompt_tokens: int
    output_tokens: int
    hold_pico: int
    high_pico: int
    card: RateCard
    terms: Terms
    #: does one answer hold one pass over one prompt; then usage seen early bounds the rest
    is_single_pass: bool
    may_be_fast: bool

    def one_pass(self, *, prompt_tokens: int, output_tokens: int, is_marked: bool = True) -> int:
        """What one pass of this size costs at most; without a mark nothing is written for later."""
        terms = msgspec.structs.replace(
            self.terms, output_tokens=output_tokens, may_write=is_marked or self.terms.is_escaped
        )
        return _highest(self.card, terms, prompt_tokens)

    def high_given(self, usage: Usage | None) -> int:
        """The bound once the answer has begun and said what its prompt was."""
        if usage is None or not usage.prompt or not self.is_single_pass or usage.iterations:
            return self.high_pico
        known = msgspec.structs.replace(usage, output=max(usage.output, self.output_tokens))
        # How it is served may be said as late as in the last event.
        geo = _geo(self.card) if usage.inference_geo is None else ONE
        fast = _fast(self.card) if usage.speed is None and self.may_be_fast else ONE
        try:
            total = price(known, self.card).total
        except UnpricedModelError:
            return self.high_pico
        return min(self.high_pico, _rounded_up(total * geo * fast))


def worst_case(
    request: Request,
    *,
    prices: Catalog,
    memo: BlockMemo,
    now: datetime,
    writes_for_an_hour: bool = False,
    allowances: Allowances = NOTHING_DECLARED,
) -> WorstCase | None:
    """The bound of a Messages request; None where its model has no price.

    ``writes_for_an_hour``: marks that are added to it may ask for that. ``allowances``: what is
    declared for what its bytes do not bound.
    """
    model = request.model
    card = prices.find(model, on=now) if model else None
    traits = prices.traits(model) if model else None
    if card is None or traits is None:
        return None
    terms = _terms(request, traits, for_an_hour=writes_for_an_hour)
    if terms.is_known and not terms.is_unusual:
        is_single, prompt = True, FRAME_TOKENS + len(request.body)
    else:
        is_single = _is_single_pass(request, terms)
        prompt = _prompt_bound(request, traits, terms, memo, allowances)
        prompt += 0 if is_single else allowances.server_tools or 0
    prompt = min(prompt, traits.context_tokens)
    hold = _highest(card, terms, prompt)
    high = hold if is_single else _several(_in_play(card, prices, now), terms, traits, allowances)
    return WorstCase(
        prompt_tokens=prompt,
        output_tokens=terms.output_tokens,
        hold_pico=hold,
        high_pico=high,
        card=card,
        terms=terms,
        is_single_pass=is_single,
        may_be_fast=terms.may_be_fast,
    )


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What the request says about its price; each look at a body is a pass over all of it."""

    output_tokens: int
    is_escaped: bool
    may_write_for_an_hour: bool
    may_be_fast: bool
    dated_tools: Sequence[str]
    #: False: nothing in it asks for the prompt cache
    may_write: bool = True
    #: has it fields that may bring a prompt from elsewhere, or make several passes?
    is_unusual: bool = True
    #: is it known that there is nothing in it to be looked for?
    is_known: bool = False


def _terms(request: Request, traits: ModelTraits, *, for_an_hour: bool = False) -> Terms:
    asked, usual = request.max_tokens, request.usual
    output_tokens = traits.max_output_tokens if asked is None else asked
    if usual is not None:
        is_rare = usual.has_rare_fields
        return Terms(
            output_tokens=output_tokens,
            is_escaped=False,
            may_write_for_an_hour=for_an_hour,
            may_be_fast=is_rare and request.field("speed") is not None,
            dated_tools=(),
            is_unusual=is_rare,
            is_known=True,
        )
    body, names = request.body, request.names
    is_escaped = _ESCAPED.search(body) is not None
    return Terms(
        output_tokens=output_tokens,
        is_escaped=is_escaped,
        may_write_for_an_hour=for_an_hour or is_escaped or _HOUR.search(body) is not None,
        may_be_fast="speed" in names and request.field("speed") is not None,
        dated_tools=_dated_tools(request) if "tools" in names else (),
        is_unusual=not _UNUSUAL.isdisjoint(names),
    )


def _is_single_pass(request: Request, terms: Terms) -> bool:
    if terms.is_escaped or (terms.is_unusual and _says(request, _SEVERAL)):
        return False
    if terms.is_known:
        return True
    body = request.body
    if _DATED.search(body) and any(word in body for word in _SERVER_TOOLS):
        return False
    return all(kind.startswith(_CLIENT_TOOLS) for kind in terms.dated_tools)


def _prompt_bound(
    request: Request, traits: ModelTraits, terms: Terms, memo: BlockMemo, allowances: Allowances
) -> int:
    elsewhere = 0
    if terms.is_unusual and _says(request, _ELSEWHERE):
        if allowances.thread is None or _says(request, _CONTAINER):
            return traits.context_tokens
        elsewhere = allowances.thread
    return elsewhere + _own_bound(request, traits, terms, memo, allowances)


def _own_bound(
    request: Request, traits: ModelTraits, terms: Terms, memo: BlockMemo, allowances: Allowances
) -> int:
    """Of what the request itself brings along."""
    body = request.body
    if terms.is_known:
        return FRAME_TOKENS + len(body)
    if terms.is_escaped or terms.dated_tools or _has_media(body):
        try:
            most = tally_request(request, traits, memo).bound
            return FRAME_TOKENS + most - saved_by(allowances, request, traits)
        except RequestError:
            return traits.context_tokens
    return FRAME_TOKENS + len(body)


def _says(request: Request, names: frozenset[str]) -> bool:
    """Does it have one of these fields, and not null there?"""
    return any(request.field(name) is not None for name in names)


def _dated_tools(request: Request) -> list[str]:
    """The types of tools that carry a date: the provider wrote their definition."""
    raw = request.field("tools")
    if raw is None or _DATE not in raw:
        return []
    try:
        kinds = [tool.string("type") or "" for tool in request.tools]
    except RequestError:
        return ["unreadable"]
    return [kind for kind in kinds if kind not in {"", "custom"}]


def _has_media(body: bytes) -> bool:
    return _SOURCE.search(body) is not None and any(word in body for word in _MEDIA)


def _highest(card: RateCard, terms: Terms, prompt: int) -> int:
    """One pass at the dearest rates of its band."""
    rates = card.rates_for(prompt)
    write = 0
    if terms.may_write:
        write = rates.cache_write_1h if terms.may_write_for_an_hour else rates.cache_write_5m
    dearest = max(rates.uncached, write, rates.cache_read)
    plain = prompt * dearest + terms.output_tokens * rates.output
    if not card.geo and not terms.may_be_fast:
        return plain
    factor = _geo(card) * _fast(card) if terms.may_be_fast else _geo(card)
    return -(-plain * factor.numerator // factor.denominator)


def _several(
    cards: Sequence[RateCard], terms: Terms, traits: ModelTraits, allowances: Allowances
) -> int:
    """All passes there can be, each over a full context, on the dearest model in play."""
    highest = max(_highest(each, terms, traits.context_tokens) for each in cards)
    searches = max(each.web_search or 0 for each in cards) * allowances.searches
    return highest * _PASSES + searches


def _in_play(card: RateCard, prices: Catalog, now: datetime) -> list[RateCard]:
    """A fallback or an advisor is billed at its own model, which the provider may choose."""
    found = (prices.find(model, on=now) for model in prices.models)
    return [card, *(each for each in found if each is not None)]


def _geo(card: RateCard) -> Fraction:
    if not card.geo:
        return ONE
    return max(factor for _, factor in card.geo)


def _fast(card: RateCard) -> Fraction:
    return ONE if card.fast is None else card.fast


def _rounded_up(amount: Fraction) -> int:
    return -(-amount.numerator // amount.denominator)
