"""Rankings stay small and keep what matters."""

from __future__ import annotations

from farthing.traces.audit.tally import Ranking, Tally
from farthing.wire.usage import Usage


def test_the_dearest_comes_first_then_the_largest_then_by_name():
    ranking: Ranking[str] = Ranking()
    for name, turns, cost in (("b", 1, 0), ("a", 1, 0), ("large", 9, 0), ("dear", 1, 5)):
        ranking.share(name).add(1, turns, cost)

    assert [name for name, _ in ranking.top()] == ["dear", "large", "a", "b"]


def test_a_ranking_never_holds_more_than_twice_what_it_keeps():
    ranking: Ranking[int] = Ranking(keep=10)
    for number in range(1_000):
        ranking.share(number).add(1, 1, number)
        assert len(ranking) <= 20

    assert ranking.dropped > 0


def test_what_is_heavy_survives_any_amount_of_light_things():
    ranking: Ranking[str] = Ranking(keep=5)
    for number in range(500):
        ranking.share("heavy").add(1, 1, 10)
        ranking.share(f"light {number}").add(1, 1, 1)

    name, share = ranking.top(1)[0]
    assert (name, share.times, share.estimated_pico) == ("heavy", 500, 5_000)


def test_a_tally_without_a_price_holds_tokens_and_no_money():
    tally = Tally()
    tally.add(Usage(uncached=5, output=2), None)

    assert (tally.total, tally.unpriced_tokens, tally.calls) == (0, 7, 1)
    assert tally.cost == {}
