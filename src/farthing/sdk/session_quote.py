"""What a call of a session may cost at most, and what it did cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from math import ceil
from typing import Any

from farthing.core.estimate import BlockMemo, tally_request
from farthing.core.estimate_correction import Correction
from farthing.core.estimate_weights import WEIGHTS
from farthing.pricing import catalog, price, traits
from farthing.wire.models import ModelTraits
from farthing.wire.request import Request
from farthing.wire.usage import Usage

__all__ = ["Quotes"]


class Quotes:
    """Prices the calls of one session; remembers the blocks it has weighed."""

    def __init__(self) -> None:
        self._memo = BlockMemo(1 << 12)

    def prompt_tokens(self, request: Mapping[str, Any]) -> int:
        """The prompt of this request: 19 of 20 are smaller."""
        model = traits(request["model"]) or ModelTraits(id=request["model"])
        parsed = Request.parse(json.dumps(request).encode())
        tally = tally_request(parsed, model, self._memo)
        correction = Correction.initial(WEIGHTS[model.tokenizer])
        return ceil(correction.estimate(tally).q95)

    def worst(self, request: Mapping[str, Any], *, on: date) -> int:
        """All of the prompt written to the prompt cache, and every token of output used."""
        card = catalog().require(request["model"], on=on)
        usage = Usage(cache_write_5m=self.prompt_tokens(request), output=request["max_tokens"])
        return price(usage, card).total

    def cost(self, usage: Usage, *, served: str, asked: str, on: date) -> int:
        """What the provider's counts cost on the card of the model that answered."""
        cards = catalog().on(on)
        card = cards(served) or catalog().require(asked, on=on)
        return price(usage, card, cards=cards).total
