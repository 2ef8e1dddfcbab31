from __future__ import annotations

from farthing.core.savings import SavingSums


def test_net_is_saved_without_own_costs_and_may_be_a_loss():
    sums = SavingSums(baseline_pico=100, cost_pico=98, saved_pico=2, own_cost_pico=5)

    assert (sums.net_pico, sums.net_ratio) == (-3, -0.03)


def test_without_a_baseline_there_is_no_ratio():
    assert SavingSums().net_ratio is None
