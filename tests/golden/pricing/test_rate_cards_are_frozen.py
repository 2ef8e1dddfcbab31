"""A released rate card never changes: the past is never re-priced.

A new price is a new card, appended by ``python -m scripts.generate_rate_cards``, which also adds
its pin. If a test here fails because a card changed, put the card back and date the new price.
"""

from __future__ import annotations

import json
from pathlib import Path

from farthing.pricing import card_digest, catalog, set_digest

PINS = json.loads(Path(__file__).with_name("rate_cards.json").read_text("utf-8"))


def test_no_released_card_has_changed_or_gone():
    found = {card.id: card_digest(card) for card in catalog().cards}

    assert {card: found.get(card) for card in PINS["cards"]} == PINS["cards"]


def test_every_card_is_pinned():
    assert {card.id for card in catalog().cards} == set(PINS["cards"])


def test_the_whole_set_is_pinned():
    assert set_digest(catalog().cards) == PINS["set"]
