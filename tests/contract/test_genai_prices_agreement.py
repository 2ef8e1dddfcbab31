"""Our bills equal those of genai-prices on all it can price, except where we declare why not.

Every model × usage × day × way of serving that both sides know is priced twice. A difference that
``scripts/supplement.toml`` does not declare fails; so does a declaration that nothing needs.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from farthing.errors import UnpricedModelError
from farthing.pricing import catalog, price
from farthing.pricing.generated_cards import UPSTREAM
from farthing.wire.usage import Usage

genai_prices = pytest.importorskip("genai_prices", reason="pip install 'farthing[prices]'")

SUPPLEMENT: Final = tomllib.loads(
    (Path(__file__).resolve().parents[2] / "scripts" / "supplement.toml").read_text("utf-8")
)

USAGES: Final = {
    "input": Usage(uncached=1_000_000),
    "input at 100k": Usage(uncached=100_000),
    "input over 100k": Usage(uncached=100_001),
    "input at 200k": Usage(uncached=200_000, output=7),
    "input over 200k": Usage(uncached=200_001, output=7),
    "write 5m": Usage(cache_write_5m=12_345),
    "write 1h": Usage(cache_write_1h=12_345),
    "both writes": Usage(cache_write_5m=1_001, cache_write_1h=2_003),
    "read": Usage(cache_read=98_765),
    "output": Usage(output=4_321),
    "an agent's turn": Usage(uncached=3, cache_write_5m=1_900, cache_read=61_234, output=517),
    "reads into the band": Usage(uncached=1, cache_read=100_000, output=1),
    "all": Usage(
        uncached=11, cache_write_5m=222, cache_write_1h=3_333, cache_read=44_444, output=555
    ),
}
DAYS: Final = tuple(
    date.fromisoformat(day)
    for day in (
        "2024-12-01", "2025-09-30", "2026-03-12", "2026-03-13", "2026-04-29", "2026-04-30",
        "2026-06-28", "2026-06-29", "2026-10-06", "2026-10-07", "2026-10-13", "2026-10-14",
        "2026-11-09", "2026-11-29", "2026-11-30",
    )
)  # fmt: skip
SERVED: Final[dict[str, dict[str, str]]] = {
    "plain": {},
    "batch": {"processing": "batch"},
    "fast": {"speed": "fast"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    model: str
    usage: str
    day: date
    served: str


def cases() -> Iterator[Case]:
    for model, usage, day, served in product(catalog().models, USAGES, DAYS, SERVED):
        if catalog().find(model, on=day) is not None:
            yield Case(model=model, usage=usage, day=day, served=served)


def ours(case: Case) -> Decimal | None:
    card = catalog().require(case.model, on=case.day)
    usage = USAGES[case.usage]
    try:
        served = msgspec.structs.replace(usage, **speed(case))
        return price(served, card, batch=case.served == "batch").usd
    except UnpricedModelError:
        return None


def speed(case: Case) -> dict[str, Any]:
    return {"speed": "fast"} if case.served == "fast" else {}


def theirs(case: Case) -> Decimal | None:
    usage = USAGES[case.usage]
    counts = genai_prices.Usage(
        input_tokens=usage.prompt,
        cache_write_tokens=usage.cache_write_5m + usage.cache_write_1h,
        cache_write_1h_tokens=usage.cache_write_1h,
        cache_read_tokens=usage.cache_read,
        output_tokens=usage.output,
    )
    try:
        total: Decimal = genai_prices.calc_price(
            counts,
            case.model,
            provider_id="anthropic",
            genai_request_timestamp=datetime(
                case.day.year, case.day.month, case.day.day, 12, tzinfo=UTC
            ),
            price_context=SERVED[case.served],
        ).total_price
    except LookupError:
        return None
    return total


def declared(case: Case) -> list[int]:
    """The numbers of the declared differences that cover a case."""
    found = []
    for number, rule in enumerate(SUPPLEMENT["difference"]):
        covers = (
            case.model in rule["models"]
            and rule.get("from", date.min) <= case.day < rule.get("before", date.max)
            and USAGES[case.usage].prompt > rule.get("prompt_over", -1)
            and ("batch" not in rule or (case.served == "batch") is rule["batch"])
            and ("fast" not in rule or (case.served == "fast") is rule["fast"])
        )
        found += [number] if covers else []
    return found


def has_fast_mode(case: Case) -> bool:
    """genai-prices prices a fast request it has no variant for at the plain price; we refuse."""
    return case.served != "fast" or ours(case) is not None


@cache
def differences() -> tuple[Case, ...]:
    return tuple(
        case
        for case in cases()
        if ours(case) != theirs(case) and (has_fast_mode(case) or declared(case))
    )


def test_enough_is_compared():
    both = [case for case in cases() if has_fast_mode(case) and theirs(case) is not None]

    assert len(both) > 5_000
    assert {case.model for case in both} >= {
        model for model in catalog().models if model.startswith("claude-opus")
    }


def test_every_difference_is_declared():
    assert [case for case in differences() if not declared(case)] == []


def test_every_declared_difference_is_there():
    seen = {number for case in differences() for number in declared(case)}
    rules = SUPPLEMENT["difference"]

    assert [
        rule["reason"]
        for number, rule in enumerate(rules)
        if number not in seen and "unpriced_here" not in rule
    ] == []


def test_a_model_without_a_price_there_is_unpriced_and_not_free():
    (rule,) = (rule for rule in SUPPLEMENT["difference"] if "unpriced_there" in rule)
    known = [case for case in cases() if case.model in rule["models"] and case.served != "fast"]

    assert {case.model for case in known} == set(rule["models"])
    assert {theirs(case) for case in known} == {None}


def test_every_model_there_is_priced_here_or_declared():
    from genai_prices.data import providers

    (rule,) = (rule for rule in SUPPLEMENT["difference"] if "unpriced_here" in rule)
    anthropic = next(provider for provider in providers if provider.id == "anthropic")

    assert {model.id for model in anthropic.models} - set(UPSTREAM) == set(rule["models"])
    assert [name for name, (_, models) in UPSTREAM.items() if not models] == []
