"""Bills worked out by hand, from the provider's documentation and from public articles.

The numbers stand in API facts (sections 1.1, 1.3, 1.4, 1.6, 2.4, 6.2; provider's pages read
2026-10-10) and in the recomputed claims, never in the code that is tested.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from farthing.pricing import Cost, catalog, price, require_card, traits
from farthing.wire.usage import Usage

DAY = date(2026, 11, 12)


def bill(model: str, *usages: Usage, on: date = DAY) -> Cost:
    card = require_card(model, on=on)
    return sum((price(usage, card) for usage in usages), Cost())


def used(kind: str, tokens: int) -> Usage:
    counts: dict[str, Any] = {kind: tokens}
    return Usage(**counts)


#: model, $/Mtok in, out, 5 m write, 1 h write, read, batch in, batch out (facts 1.1)
PRICE_TABLE = """
claude-fable-5-2            8     40    10     16    0.20  4     20
claude-mythos-5-2           8     40    10     16    0.20  4     20
claude-fable-5-1            10    50    12.50  20    0.25  5     25
claude-mythos-5-1           10    50    12.50  20    0.25  5     25
claude-fable-5              10    50    12.50  20    1.00  5     25
claude-mythos-5             10    50    12.50  20    1.00  5     25
claude-opus-5-5             4     20    5      8     0.20  2     10
claude-opus-5               5     25    6.25   10    0.50  2.5   12.5
claude-opus-4-8             5     25    6.25   10    0.50  2.5   12.5
claude-opus-4-7             5     25    6.25   10    0.50  2.5   12.5
claude-opus-4-6             5     25    6.25   10    0.50  2.5   12.5
claude-opus-4-5-20251101    5     25    6.25   10    0.50  2.5   12.5
claude-opus-4-5             5     25    6.25   10    0.50  2.5   12.5
claude-opus-4-1             15    75    18.75  30    1.50  7.5   37.5
claude-opus-4-20250514      15    75    18.75  30    1.50  7.5   37.5
claude-sonnet-5-5           2     10    2.50   4     0.10  1     5
claude-sonnet-5             2     10    2.50   4     0.20  1     5
claude-sonnet-4-6           3     15    3.75   6     0.30  1.5   7.5
claude-sonnet-4-5-20250929  3     15    3.75   6     0.30  1.5   7.5
claude-sonnet-4-5           3     15    3.75   6     0.30  1.5   7.5
claude-haiku-4-5-20251001   1     5     1.25   2     0.10  0.5   2.5
claude-haiku-4-5            1     5     1.25   2     0.10  0.5   2.5
claude-3-5-haiku-20241022   0.80  4     1      1.60  0.08  0.4   2
"""


@pytest.mark.parametrize("line", PRICE_TABLE.split("\n")[1:-1])
def test_the_price_table_of_the_facts(line):
    model, *prices = line.split()
    million = 10**6
    usages = [
        Usage(uncached=million),
        Usage(output=million),
        Usage(cache_write_5m=million),
        Usage(cache_write_1h=million),
        Usage(cache_read=million),
        Usage(uncached=million, service_tier="batch"),
        Usage(output=million, service_tier="batch"),
    ]

    assert [bill(model, usage).usd for usage in usages] == [Decimal(text) for text in prices]


#: model, context, most output, shortest cached, hidden tool tokens auto and any (facts 1.1, 5)
SIZES = """
claude-fable-5-2            1_000_000  128_000  512    286  286
claude-fable-5              1_000_000  128_000  512    286  406
claude-opus-5-5             1_000_000  128_000  512    286  286
claude-opus-5               1_000_000  128_000  512    286  406
claude-opus-4-8             1_000_000  128_000  1_024  290  410
claude-opus-4-7             1_000_000  128_000  2_048  675  804
claude-opus-4-6             1_000_000  128_000  4_096  497  589
claude-opus-4-5             200_000    64_000   4_096  496  588
claude-opus-4-1             200_000    32_000   1_024  313  315
claude-sonnet-5-5           1_000_000  128_000  512    286  286
claude-sonnet-5             1_000_000  128_000  1_024  354  474
claude-sonnet-4-6           1_000_000  128_000  1_024  497  589
claude-sonnet-4-5           200_000    64_000   1_024  496  588
claude-haiku-5-5            1_000_000  128_000  512    286  406
claude-haiku-4-5            200_000    64_000   4_096  496  588
claude-3-5-haiku-20241022   200_000    8_192    2_048  264  355
"""


@pytest.mark.parametrize("line", SIZES.split("\n")[1:-1])
def test_the_sizes_of_the_facts(line):
    model, *sizes = line.split()
    known = traits(model)

    assert known is not None
    assert [
        known.context_tokens,
        known.max_output_tokens,
        known.min_cacheable_tokens,
        *known.tool_prompt_tokens,
    ] == [int(size) for size in sizes]


#: model, default thinking, disabled, budget, adaptive, forced tool choice, prefill, sampling,
#: system messages, keeps all thinking, binds thinking, fast (facts 2.6, 4.1, 6.4, 6.5, 1.3)
BEHAVIOUR = """
claude-fable-5-2   always no      no  yes no          no  no  yes yes yes yes
claude-mythos-5-1  always no      no  yes no          no  no  yes yes yes no
claude-fable-5-1   always no      no  yes no          no  no  yes yes new no
claude-fable-5     always no      no  yes yes         no  no  yes yes no  no
claude-opus-5-5    always no      no  yes no          no  no  yes yes new yes
claude-opus-5      on     <=high  no  yes yes         no  no  yes yes no  beta
claude-opus-4-8    off    yes     no  yes yes         no  no  yes yes no  beta
claude-opus-4-7    off    yes     no  yes yes         no  no  no  yes no  no
claude-opus-4-6    off    yes     yes yes no_thinking no  yes no  yes no  standard
claude-sonnet-5-5  on     between no  yes no          no  no  yes yes new no
claude-sonnet-5    on     yes     no  yes yes         no  no  no  yes no  no
claude-sonnet-4-6  off    yes     yes yes no_thinking no  yes no  yes no  no
claude-haiku-5-5   on     <=high  no  yes yes         no  no  yes yes new no
claude-opus-4-5    off    yes     yes no  no_thinking yes yes no  yes no  no
claude-sonnet-4-5  off    yes     yes no  no_thinking yes yes no  no  no  no
claude-haiku-4-5   off    yes     yes no  no_thinking yes yes no  no  no  no
"""


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _SHORT.get(str(value), str(value))


_SHORT = {
    "not with thinking": "no_thinking",
    "new accounts": "new",
    "served standard": "standard",
    "between_tools": "between",
    "effort<=high": "<=high",
}


@pytest.mark.parametrize("line", BEHAVIOUR.split("\n")[1:-1])
def test_the_behaviour_table_of_the_facts(line):
    model, *words = line.split()
    known = traits(model)

    assert known is not None
    assert [
        _word(value)
        for value in (
            known.default_thinking,
            known.thinking_disabled,
            known.thinking_budget,
            known.thinking_adaptive,
            known.forced_tool_choice,
            known.prefill,
            known.sampling,
            known.system_messages,
            known.keeps_all_thinking,
            known.binds_thinking,
            known.fast,
        )
    ] == words


def test_the_new_tokenizer_came_with_opus_4_7():
    old = {name for name, model in catalog().models.items() if model.traits.tokenizer == "old"}

    assert {"claude-opus-4-6", "claude-sonnet-4-6", "claude-haiku-4-5-20251001"} <= old
    assert {
        name for name in old if "-5-5" in name or "fable" in name or "opus-4-7" in name
    } == set()


@pytest.mark.parametrize(
    ("model", "effort"),
    [("claude-opus-5-5", "medium"), ("claude-haiku-5-5", "medium"), ("claude-opus-5", "high")],
)
def test_the_default_effort(model, effort):
    known = traits(model)

    assert known is not None
    assert known.default_effort == effort


@pytest.mark.parametrize(
    ("prompt", "row"),
    [
        (100_000, ["0.01", "0.0125", "0.02", "0.001"]),
        (100_001, ["0.0500005", "0.062500625", "0.100001", "0.00500005"]),
    ],
)
def test_both_bands_of_haiku_5_5(prompt, row):
    kinds = ("uncached", "cache_write_5m", "cache_write_1h", "cache_read")

    assert [str(bill("claude-haiku-5-5", used(kind, prompt))) for kind in kinds] == row


@pytest.mark.parametrize(("prompt", "cost"), [(100_000, "0.0105"), (100_001, "0.0525005")])
def test_a_haiku_5_5_request_on_either_side_of_the_border(prompt, cost):
    """The facts round the second to 0.0525."""
    assert str(bill("claude-haiku-5-5", Usage(uncached=prompt, output=1_000))) == cost


def test_the_worked_example_of_the_formula():
    usage = Usage(uncached=2_000, cache_write_5m=8_000, cache_read=40_000, output=1_000)

    cost = bill("claude-opus-5-5", usage)

    assert cost.dump() == {
        "uncached": "0.008",
        "cache_write_5m": "0.04",
        "cache_write_1h": "0",
        "cache_read": "0.008",
        "output": "0.02",
        "server_tools": "0",
        "total": "0.076",
    }


@pytest.mark.parametrize(
    ("read", "hour", "five", "plain", "cost"),
    [
        (0, 10_000, 20_000, 1_000, "0.184"),
        (30_000, 0, 4_000, 500, "0.028"),
        (10_000, 0, 28_000, 500, "0.144"),
    ],
)
def test_the_mixed_ttl_table_as_a_bill_on_opus_5_5(read, hour, five, plain, cost):
    usage = Usage(cache_read=read, cache_write_1h=hour, cache_write_5m=five, uncached=plain)

    assert str(bill("claude-opus-5-5", usage)) == cost


@pytest.mark.parametrize(
    ("model", "on", "in_out"),
    [
        ("claude-fable-5-2", DAY, "16/80"),
        ("claude-opus-5-5", DAY, "8/40"),
        ("claude-opus-5", DAY, "10/50"),
        ("claude-opus-4-8", DAY, "10/50"),
        ("claude-opus-4-6", date(2026, 6, 28), "30/150"),
    ],
)
def test_fast_mode_prices(model, on, in_out):
    million = 10**6
    into = bill(model, Usage(uncached=million, speed="fast"), on=on)
    out = bill(model, Usage(output=million, speed="fast"), on=on)

    assert f"{into}/{out}" == in_out


def test_web_searches():
    assert str(bill("claude-opus-5-5", Usage(web_search_requests=1))) == "0.01"


# --- the claims that started this project, where they are plain arithmetic ------------------------


@pytest.mark.parametrize(
    ("model", "plain", "cached"),
    [
        ("claude-sonnet-4-6", "1.2", "0.1338"),
        ("claude-sonnet-5-5", "0.8", "0.0496"),
        ("claude-opus-5-5", "1.6", "0.0992"),
    ],
)
def test_claim_1_four_thousand_tokens_over_a_hundred_turns(model, plain, cached):
    write, read = Usage(cache_write_5m=4_000), Usage(cache_read=4_000)

    assert str(bill(model, *[Usage(uncached=4_000)] * 100)) == plain
    assert str(bill(model, write, *[read] * 99)) == cached


def test_claim_1_on_haiku_4_5_is_too_short_to_cache():
    least = traits("claude-haiku-4-5")

    assert least is not None
    assert least.min_cacheable_tokens > 4_000
    assert str(bill("claude-haiku-4-5", *[Usage(uncached=4_000)] * 100)) == "0.4"


def test_claim_1_with_every_turn_cold_costs_a_quarter_more():
    assert str(bill("claude-sonnet-4-6", *[Usage(cache_write_5m=4_000)] * 100)) == "1.5"


@pytest.mark.parametrize(
    ("model", "ttl", "cost"),
    [
        ("claude-haiku-4-5", "none", "2"),
        ("claude-haiku-4-5", "cache_write_5m", "0.315"),
        ("claude-haiku-4-5", "cache_write_1h", "0.39"),
        ("claude-haiku-5-5", "none", "0.2"),
        ("claude-haiku-5-5", "cache_write_5m", "0.0315"),
    ],
)
def test_claim_2_a_thousand_calls_a_day_with_95_percent_hits(model, ttl, cost):
    """The formula; that Haiku 4.5 would not cache 2,000 tokens at all is the claim's mistake."""
    calls = [Usage(uncached=2_000)] * 1000
    if ttl != "none":
        calls = [used(ttl, 2_000)] * 50 + [Usage(cache_read=2_000)] * 950

    assert str(bill(model, *calls)) == cost


@pytest.mark.parametrize(("ttl", "cost"), [("cache_write_5m", "0.89"), ("cache_write_1h", "1.34")])
def test_claim_3_the_same_with_70_percent_hits(ttl, cost):
    calls = [used(ttl, 2_000)] * 300 + [Usage(cache_read=2_000)] * 700

    assert str(bill("claude-haiku-4-5", *calls)) == cost


@pytest.mark.parametrize(
    ("model", "plain", "cached"),
    [("claude-sonnet-4-6", "0.36", "0.0705"), ("claude-sonnet-5-5", "0.24", "0.036")],
)
def test_claim_7_ten_thousand_tokens_over_twelve_turns(model, plain, cached):
    write, read = Usage(cache_write_5m=10_000), Usage(cache_read=10_000)

    assert str(bill(model, *[Usage(uncached=10_000)] * 12)) == plain
    found = bill(model, write, *[read] * 11)
    assert str(found) == cached


@pytest.mark.parametrize(
    ("model", "cost"),
    [
        ("claude-opus-4-1", "0.0009"),
        ("claude-opus-4-8", "0.0003"),
        ("claude-opus-5-5", "0.00024"),
        ("claude-haiku-5-5", "0.000006"),
    ],
)
def test_claim_15_one_step_of_forty_tokens_in_and_four_out(model, cost):
    assert str(bill(model, Usage(uncached=40, output=4))) == cost


@pytest.mark.parametrize(
    ("model", "cost"), [("claude-sonnet-4-6", "0.02325"), ("claude-haiku-4-5", "0.00775")]
)
def test_claim_20_an_article_of_1550_output_tokens(model, cost):
    assert str(bill(model, Usage(output=1_550))) == cost
