"""The rows of an estimate: a bill for each way to run a conversation, and what to know of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from farthing.core.prefix import LIFETIMES
from farthing.core.workload import CachePolicy, Workload, simulate
from farthing.pricing import Cost, RateCard, price
from farthing.wire.models import ModelTraits
from farthing.wire.usage import Usage

__all__ = ["PricedModel", "Row", "notes_on", "notes_on_cheaper", "rows_of", "short_name"]

#: a model as a bill needs it
PricedModel = tuple[RateCard, ModelTraits]

_LABELS: Final[dict[CachePolicy, str]] = {
    "none": "no cache",
    "prefix_5m": "mark on the prefix, 5m",
    "rolling_5m": "rolling mark, 5m",
    "rolling_1h": "rolling mark, 1h",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way to run the conversation, and its bill."""

    label: str
    policy: CachePolicy
    model: str
    usage: Usage
    cost: Cost

    @property
    def input_cost(self) -> int:
        """What the prompts cost, in 10⁻¹² USD."""
        return self.cost.total - self.cost.output


def rows_of(
    workload: Workload,
    own: PricedModel,
    cheaper: PricedModel | None,
    *,
    batch: bool,
) -> list[Row]:
    """A row for each policy, one as a batch, one on the cheaper model."""
    rows = [_row(workload, label, policy, own, batch) for policy, label in _LABELS.items()]
    if not batch and own[0].batch is not None:
        rows.append(_row(workload, "batch, no cache", "none", own, batch=True))
    if cheaper is not None:
        rows.append(_row(workload, _cheaper_label(cheaper[1]), "rolling_5m", cheaper, batch))
    return rows


def _cheaper_label(traits: ModelTraits) -> str:
    return f"rolling, 5m, {short_name(traits.id)}"


def _row(
    workload: Workload,
    label: str,
    policy: CachePolicy,
    model: PricedModel,
    batch: bool,  # noqa: FBT001 -- the last of what a row depends on
) -> Row:
    card, traits = model
    usage, cost = Usage(), Cost()
    minimum = traits.min_cacheable_tokens
    for turn in simulate(workload, policy, model=card.model, min_cacheable_tokens=minimum):
        cost += price(turn, card, batch=batch)
        usage = _sum(usage, turn)
    return Row(label=label, policy=policy, model=card.model, usage=usage, cost=cost)


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(
        uncached=one.uncached + other.uncached,
        cache_write_5m=one.cache_write_5m + other.cache_write_5m,
        cache_write_1h=one.cache_write_1h + other.cache_write_1h,
        cache_read=one.cache_read + other.cache_read,
        output=one.output + other.output,
    )


def notes_on(workload: Workload, traits: ModelTraits, rows: list[Row]) -> list[str]:
    """What to know before reading the figures; what hurts most comes first."""
    minimum, name = traits.min_cacheable_tokens, short_name(traits.id)
    longest = _longest(workload)
    notes = []
    if longest < minimum:
        notes.append(
            f"too short to cache: {name} caches nothing below {minimum:,} tokens, "
            f"the longest prompt here has {longest:,}"
        )
    elif workload.prefix_tokens < minimum:
        notes.append(
            f"prefix too short to cache: {name} caches nothing below {minimum:,} tokens; "
            "only later turns are long enough"
        )
    if longest > traits.context_tokens:
        notes.append(
            f"the last prompt, {longest:,} tokens, does not fit {name}'s context of "
            f"{traits.context_tokens:,}: the API would refuse it"
        )
    rolling = next(row for row in rows if row.policy == "rolling_5m")
    expires = workload.turns > 1 and workload.gap >= LIFETIMES["5m"]
    if expires and rolling.usage.cache_write_5m and not rolling.usage.cache_read:
        notes.append("every 5m entry expires before the next turn: each write is paid for nothing")
    return notes


def notes_on_cheaper(workload: Workload, traits: ModelTraits) -> list[str]:
    """What to know of the row on the cheaper model: another model, another minimum."""
    minimum = traits.min_cacheable_tokens
    if _longest(workload) >= minimum:
        return []
    label = _cheaper_label(traits)
    return [f"{label}: too short to cache on {short_name(traits.id)} ({minimum:,})"]


def _longest(workload: Workload) -> int:
    """The tokens of the last prompt."""
    return workload.prefix_tokens + (workload.turns - 1) * workload.grow_tokens


def short_name(model: str) -> str:
    """The id without the date that older ids carry."""
    return re.sub(r"-\d{8}$", "", model)
