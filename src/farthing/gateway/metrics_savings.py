"""What levers saved and how well costs were foreseen, as Prometheus reads it.

Rules of this file: a saving may be a loss, so savings are gauges that run from the start of the
process, never counters; labels are levers and models, of which there are few.
"""

from __future__ import annotations

from collections.abc import Iterator

from farthing.core.calibration import Calibration, input_error
from farthing.core.records import Settlement
from farthing.gateway.metrics_text import family
from farthing.pricing import Catalog
from farthing.pricing.cards import RateCard
from farthing.pricing.money import dump_usd

__all__ = ["SavingMetrics"]

_MAX_MODELS = 200

#: name, what it is, kind; in the order in which they are shown
_SAVED = ("farthing_saved_usd", "Measured by lever since the start; negative is a loss")
_PREDICTED = ("farthing_predicted_saving_usd", "Predicted by lever since the start")


class SavingMetrics:
    """Sums of one gateway process."""

    def __init__(self, prices: Catalog) -> None:
        self._cards: dict[str, RateCard] = {card.id: card for card in prices.cards}
        self._saved: dict[str, int] = {}
        self._predicted: dict[str, int] = {}
        self._baseline_pico = self._compared_pico = self._own_cost_pico = 0
        self._held_out = 0
        self._calibration: dict[str, Calibration] = {}

    def settled(self, settlement: Settlement) -> None:
        """One exchange came to its end; without an accounting there is nothing to count."""
        accounting, cost = settlement.accounting, settlement.cost
        if accounting is None or cost is None or settlement.state != "settled":
            return
        self._baseline_pico += accounting.baseline_pico
        self._compared_pico += cost.total
        self._own_cost_pico += accounting.own_cost_pico
        self._held_out += accounting.is_held_out
        for each in accounting.savings:
            self._saved[each.lever] = self._saved.get(each.lever, 0) + each.saved_pico
            if each.predicted_pico is not None:
                before = self._predicted.get(each.lever, 0)
                self._predicted[each.lever] = before + each.predicted_pico
        self._calibrate(settlement)

    def lines(self) -> Iterator[str]:
        """All of it in Prometheus' text format."""
        for (name, words), sums in ((_SAVED, self._saved), (_PREDICTED, self._predicted)):
            yield from family(name, "gauge", words)
            for lever, amount in sorted(sums.items()):
                yield f'{name}{{lever="{lever}"}} {dump_usd(amount)}'
        for name, words, amount in (
            ("farthing_baseline_usd", "Compared calls as they were sent", self._baseline_pico),
            ("farthing_compared_cost_usd", "Compared calls as billed", self._compared_pico),
            ("farthing_own_cost_usd", "Calls of farthing's own", self._own_cost_pico),
        ):
            yield from family(name, "gauge", words)
            yield f"{name} {dump_usd(amount)}"
        yield from family(
            "farthing_held_out_calls", "gauge", "Calls that no lever touched on purpose"
        )
        yield f"farthing_held_out_calls {self._held_out}"
        yield from self._calibration_lines()

    def _calibrate(self, settlement: Settlement) -> None:
        accounting, usage = settlement.accounting, settlement.usage
        card = self._cards.get(settlement.rate_card_id or "")
        if accounting is None or accounting.foreseen is None or usage is None or card is None:
            return
        error = input_error(accounting.foreseen, usage, card)
        if error is not None and (
            card.model in self._calibration or len(self._calibration) < _MAX_MODELS
        ):
            before = self._calibration.get(card.model, Calibration())
            self._calibration[card.model] = before.plus(error)

    def _calibration_lines(self) -> Iterator[str]:
        for name, words, field in (
            ("farthing_input_foreseen_usd", "Input as foreseen before sending", "foreseen_pico"),
            ("farthing_input_billed_usd", "The same input as billed", "actual_pico"),
            ("farthing_input_at_length_usd", "Foreseen, at the measured length", "at_length_pico"),
            ("farthing_input_error_usd", "Sizes of the single errors", "absolute_pico"),
        ):
            yield from family(name, "gauge", words)
            for model, found in sorted(self._calibration.items()):
                yield f'{name}{{model="{model}"}} {dump_usd(getattr(found, field))}'
