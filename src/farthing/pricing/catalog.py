"""Which rate card prices a model on a day: exact ids, declared aliases, never a guess.

Theory of operation. A name is looked up as it is written. It is a model id, or an alias that the
provider declared (``claude-haiku-4-5`` for ``claude-haiku-4-5-20251001``), or it is unpriced:
``claude-fable-5-1`` must never fall to the card of ``claude-fable-5``, whose cache reads cost four
times as much. Of a model's cards the newest that was valid on the day is in force.

An operator's own cards come before list prices from their first day on. Cards that a refresh found
upstream are list prices like the shipped ones and only compete by date, so that an old refresh
never shadows the newer card of a newer farthing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cache
from typing import Final

from farthing.errors import ConfigError, UnpricedModelError
from farthing.pricing.cards import RateCard
from farthing.pricing.entries import cards_from_rows
from farthing.pricing.generated_cards import CARDS, SOURCES
from farthing.pricing.generated_models import MODELS
from farthing.pricing.lifecycle import Lifecycle, Notice, notices_for
from farthing.pricing.models import Model
from farthing.pricing.overrides import Overrides
from farthing.wire.models import ModelTraits

__all__ = [
    "CardLookup",
    "Catalog",
    "catalog",
    "find_card",
    "require_card",
    "traits",
    "warnings",
]

#: model id → its card on a day already chosen; None: unpriced
CardLookup = Callable[[str], RateCard | None]

#: names and days that ``Catalog.find`` answers from memory
_REMEMBERED: Final = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """All rate cards and models known, each list sorted by date."""

    models: Mapping[str, Model]
    #: every name a model answers to, its own id included
    names: Mapping[str, str]
    listed: Mapping[str, tuple[RateCard, ...]]
    operated: Mapping[str, tuple[RateCard, ...]]
    #: cards found before: asked for several times in each call
    _in_force: dict[tuple[str, date], RateCard] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    @property
    def cards(self) -> tuple[RateCard, ...]:
        """Every card, list prices first."""
        tiers = (self.listed, self.operated)
        return tuple(card for tier in tiers for cards in tier.values() for card in cards)

    def canonical(self, name: str) -> str | None:
        """The model id behind a name, None if nobody declared it."""
        return self.names.get(name)

    def find(self, model: str, *, on: date) -> RateCard | None:
        """The card in force for this model on this (UTC) day; None: unpriced."""
        day = on.date() if isinstance(on, datetime) and on.tzinfo is UTC else _utc_day(on)
        card = self._in_force.get((model, day))
        if card is None:
            card = self._find(model, day)
            if card is not None and len(self._in_force) < _REMEMBERED:
                self._in_force[model, day] = card
        return card

    def on(self, day: date) -> CardLookup:
        """``find`` with the day chosen: what ``price`` wants for ``usage.iterations``."""
        return lambda model: self.find(model, on=day)

    def require(self, model: str, *, on: date) -> RateCard:
        """The card in force, or ``UnpricedModelError`` that says what to do."""
        card = self.find(model, on=on)
        if card is not None:
            return card
        found = self.canonical(model)
        known = [c.valid_from for c in self.cards if c.model == found]
        why = f"its first price is of {min(known)}" if known else "nobody gave it one"
        raise UnpricedModelError(
            f"{model!r} has no price on {_utc_day(on)}: {why}. "
            "Run `farthing price --refresh`, or give a card with `--prices FILE`",
            model=model,
        )

    def traits(self, model: str) -> ModelTraits | None:
        """What is known of the model's behaviour."""
        name = self.names.get(model)
        known = None if name is None else self.models.get(name)
        return known.traits if known else None

    def lifecycle(self, model: str) -> Lifecycle | None:
        """The model's dates."""
        known = self._model(model)
        return known.lifecycle if known else None

    def warnings(self, model: str, *, on: date, fast: bool = False) -> tuple[Notice, ...]:
        """What to tell whoever uses this model, perhaps in fast mode, on this day."""
        known = self._model(model)
        if known is None:
            return ()
        return notices_for(known.traits.id, known.lifecycle, on=_utc_day(on), fast=fast)

    def with_overrides(self, overrides: Overrides) -> Catalog:
        """This catalogue with a price file's cards and aliases added.

        A card with the id of a known one of its kind takes its place. An alias may be pointed
        elsewhere; a model id always means that model.
        """
        names = _named(self.names, overrides)
        return Catalog(
            models=self.models,
            names=names,
            listed=_merged(self.listed, _canonical(overrides.listed, names)),
            operated=_merged(self.operated, _canonical(overrides.operated, names)),
        )

    def _find(self, model: str, day: date) -> RateCard | None:
        found = self.canonical(model)
        if found is None:
            return None
        return _newest(self.operated.get(found, ()), day) or _newest(
            self.listed.get(found, ()), day
        )

    def _model(self, name: str) -> Model | None:
        found = self.canonical(name)
        return None if found is None else self.models.get(found)


def _utc_day(on: date) -> date:
    """The day prices change on; a ``datetime`` must be aware, because prices change at a border."""
    if not isinstance(on, datetime):
        return on
    if on.tzinfo is None:
        raise ValueError(f"{on!r} has no time zone; prices change at a day's border, so give one")
    return on.date() if on.tzinfo is UTC else on.astimezone(UTC).date()


def _newest(cards: tuple[RateCard, ...], day: date) -> RateCard | None:
    for card in reversed(cards):
        if card.valid_from <= day:
            return card
    return None


def _named(known: Mapping[str, str], overrides: Overrides) -> dict[str, str]:
    """The names known, with the models and aliases of a price file."""
    names = dict(known)
    for card in (*overrides.listed, *overrides.operated):
        if card.model not in overrides.aliases:
            names.setdefault(card.model, card.model)
    for alias, model in overrides.aliases.items():
        if model not in names:
            raise ConfigError(
                f"alias {alias!r} names {model!r}, which is no model here; give it a card first"
            )
        if names.get(alias) == alias != names[model]:
            raise ConfigError(
                f"alias {alias!r} is a model of its own and cannot stand for {model!r}; "
                "to change its price, give it a card"
            )
        names[alias] = names[model]
    return names


def _canonical(cards: Iterable[RateCard], names: Mapping[str, str]) -> tuple[RateCard, ...]:
    """The cards under model ids: a card that names a model by an alias means that very model."""
    return tuple(replace(card, model=names[card.model]) for card in cards)


def _merged(
    known: Mapping[str, tuple[RateCard, ...]], more: Iterable[RateCard]
) -> dict[str, tuple[RateCard, ...]]:
    cards = {card.id: card for tier in known.values() for card in tier}
    cards |= {card.id: card for card in more}
    merged: dict[str, tuple[RateCard, ...]] = {}
    for card in sorted(cards.values(), key=lambda card: card.valid_from):
        merged[card.model] = (*merged.get(card.model, ()), card)
    return merged


@cache
def catalog() -> Catalog:
    """The shipped catalogue; built at first use, the same value ever after."""
    models = {model.traits.id: model for model in MODELS}
    names = {name: model.traits.id for model in MODELS for name in model.names}
    listed = _merged({}, cards_from_rows(CARDS, SOURCES))
    return Catalog(models=models, names=names, listed=listed, operated={})


def find_card(model: str, *, on: date) -> RateCard | None:
    """The shipped card in force for this model on this day; None: unpriced."""
    return catalog().find(model, on=on)


def require_card(model: str, *, on: date) -> RateCard:
    """The shipped card in force, or ``UnpricedModelError``."""
    return catalog().require(model, on=on)


def traits(model: str) -> ModelTraits | None:
    """What is known of this model's behaviour; None for a model we do not know."""
    return catalog().traits(model)


def warnings(model: str, *, on: date) -> tuple[Notice, ...]:
    """What to tell whoever uses this model on this day."""
    return catalog().warnings(model, on=on)
