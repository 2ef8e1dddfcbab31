"""What Prometheus reads of savings; a loss is one there too."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace as changed

from farthing.core.records import Accounting, LeverSaving
from farthing.gateway.metrics import Metrics
from farthing.gateway.metrics_savings import SavingMetrics
from farthing.pricing import catalog
from tests.contract.exchanges import ACCOUNTING, COST, USAGE, settled, unsettled

CARD = catalog().require("claude-opus-5-5", on=settled().ended_at)


def lines(*settlements) -> list[str]:
    metrics = SavingMetrics(catalog())
    for each in settlements:
        metrics.settled(each)
    return Metrics(metrics).render().decode().splitlines()


def test_measured_and_predicted_are_separate_gauges_by_lever():
    found = lines(settled(), settled())

    assert "# TYPE farthing_saved_usd gauge" in found
    assert 'farthing_saved_usd{lever="cache.marks"} 0.000000000022' in found
    assert 'farthing_saved_usd{lever="cache.ttl"} -0.000000000004' in found
    assert 'farthing_predicted_saving_usd{lever="cache.marks"} 0.000000000024' in found
    assert not any(
        line.startswith('farthing_predicted_saving_usd{lever="cache.ttl"') for line in found
    )
    assert "farthing_baseline_usd 0.00000000006" in found
    assert "farthing_compared_cost_usd 0.000000000042" in found
    assert "farthing_own_cost_usd 0.000000000006" in found


def test_what_is_not_settled_priced_and_compared_counts_for_nothing():
    nothing = lines()

    assert lines(settled(accounting=None), settled(cost=None, accounting=ACCOUNTING)) == nothing
    assert lines(unsettled(low=1, high=2, accounting=ACCOUNTING)) == nothing


def test_held_out_calls_are_counted():
    held_out = Accounting(baseline_pico=COST.total, is_held_out=True)

    assert "farthing_held_out_calls 1" in lines(settled(accounting=held_out), settled())


def test_what_was_foreseen_stands_beside_what_was_billed_by_model():
    usage = msgspec.structs.replace(USAGE, inference_geo=None, speed=None, iterations=())
    accounting = changed(ACCOUNTING, foreseen=usage)
    known = settled(usage=usage, accounting=accounting, rate_card_id=CARD.id)
    found = lines(known)
    (foreseen,) = [line for line in found if line.startswith("farthing_input_foreseen_usd{")]

    assert foreseen.replace("foreseen", "billed") in found
    assert 'farthing_input_error_usd{model="claude-opus-5-5"} 0' in found


def test_without_a_card_a_forecast_or_a_usage_there_is_no_error():
    unknown = settled(rate_card_id=None)
    blind = settled(rate_card_id=CARD.id, accounting=changed(ACCOUNTING, foreseen=None))
    silent = settled(rate_card_id=CARD.id, usage=None, accounting=ACCOUNTING)

    for each in (unknown, blind, silent):
        assert not any(line.startswith("farthing_input_billed_usd{") for line in lines(each))


def test_a_lever_that_speaks_no_price_has_no_prediction():
    silent = Accounting(
        baseline_pico=22, savings=(LeverSaving(lever="cache.fanout", saved_pico=1),)
    )

    assert not any(
        line.startswith("farthing_predicted_saving_usd{")
        for line in lines(settled(accounting=silent))
    )
