"""What Prometheus reads."""

from __future__ import annotations

from farthing.gateway.metrics import Histogram, Metrics
from farthing.wire.usage import Usage


def lines(metrics: Metrics) -> list[str]:
    return metrics.render().decode().splitlines()


def test_answers_are_counted_by_route_and_status():
    metrics = Metrics()

    metrics.answered("/v1/messages", 200)
    metrics.answered("/v1/messages", 200)
    metrics.answered("/v1/messages", 529)

    assert 'farthing_answers_total{route="/v1/messages",status="200"} 2' in lines(metrics)
    assert 'farthing_answers_total{route="/v1/messages",status="529"} 1' in lines(metrics)


def test_cost_is_an_exact_decimal():
    metrics = Metrics()

    metrics.billed("claude-opus-5-5", 5_500, Usage(cache_read=3))

    assert 'farthing_cost_usd_total{model="claude-opus-5-5"} 0.0000000055' in lines(metrics)
    assert 'farthing_tokens_total{model="claude-opus-5-5",bucket="cache_read"} 3' in lines(metrics)


def test_what_has_no_price_is_counted_and_not_free():
    metrics = Metrics()

    metrics.billed("new-model", None, Usage())

    assert "farthing_unpriced_total 1" in lines(metrics)
    assert not any("farthing_cost_usd_total{" in line for line in lines(metrics))


def test_models_beyond_the_limit_share_one_name():
    metrics = Metrics()

    for number in range(300):
        metrics.billed(f"m{number}", 1, Usage())

    shown = [line for line in lines(metrics) if line.startswith("farthing_cost_usd_total{")]
    assert len(shown) == 201
    assert 'farthing_cost_usd_total{model="other"} 0.0000000001' in shown


def test_paths_that_somebody_invents_do_not_grow_it_for_ever():
    metrics = Metrics()

    for number in range(5000):
        metrics.answered(f"/v1/x{number}", 404)

    assert len(lines(metrics)) < 1000


def test_a_label_cannot_break_out():
    metrics = Metrics()

    metrics.billed('a"b\\c\nd', 1, Usage())

    assert 'farthing_cost_usd_total{model="a\\"b\\\\c\\nd"} 0.000000000001' in lines(metrics)


def test_buckets_are_cumulative_and_a_bound_belongs_to_its_bucket():
    histogram = Histogram((1.0, 2.0))

    for value in (0.5, 1.0, 1.5, 3.0):
        histogram.observe(value)

    assert list(histogram.lines("h")) == [
        'h_bucket{le="1"} 2',
        'h_bucket{le="2"} 3',
        'h_bucket{le="+Inf"} 4',
        "h_sum 6",
        "h_count 4",
    ]
