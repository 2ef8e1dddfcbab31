"""Money: exact integers of 10⁻¹² USD inside, decimal strings outside, one rounding at display.

Why this unit: the cheapest price in use is one cached token of Haiku 5.5 in a batch in the US,
0.01 $/Mtok × 0.5 × 1.1 = 5,500 × 10⁻¹² USD. In 10⁻⁹ USD that would already be a fraction
(docs/decisions/0004-money-unit.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from operator import attrgetter
from typing import Final, NewType

import msgspec

__all__ = [
    "PICO_PER_USD",
    "Cost",
    "PicoUsd",
    "dump_usd",
    "parse_usd",
    "show_exact_usd",
    "show_usd",
]

#: an amount in 10⁻¹² USD
PicoUsd = NewType("PicoUsd", int)

PICO_PER_USD: Final = 10**12
_DECIMALS: Final = 12

#: what a JSON document, a header or a TOML file may hold: no exponent, no sign but minus
_AMOUNT: Final = re.compile(r"(-?)(\d{1,30})(?:\.(\d{1,30}))?", re.ASCII)


def dump_usd(amount: int) -> str:
    """The exact decimal string of an amount: ``76_000_000_000`` is ``"0.076"``."""
    if not amount:
        return "0"
    whole, fraction = divmod(abs(amount), PICO_PER_USD)
    tail = f"{fraction:012d}".rstrip("0")
    sign = "-" if amount < 0 else ""
    return f"{sign}{whole}.{tail}" if tail else f"{sign}{whole}"


def parse_usd(text: str) -> PicoUsd:
    """The amount a decimal string says; ``ValueError`` if it is no number or finer than the unit.

    Strings only: a float has already been rounded by whoever made it.
    """
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a decimal amount such as '0.25'")
    sign, whole, fraction = found[1], found[2], (found[3] or "").rstrip("0")
    if len(fraction) > _DECIMALS:
        raise ValueError(f"{text!r} is finer than 10⁻¹² USD; give at most {_DECIMALS} decimals")
    amount = int(whole) * PICO_PER_USD + int(fraction.ljust(_DECIMALS, "0"))
    return PicoUsd(-amount if sign else amount)


def show_usd(amount: int, places: int = 6) -> str:
    """An amount for human eyes, rounded half to even: the only rounding money meets here."""
    step = 10 ** (_DECIMALS - places)
    units, rest = divmod(abs(amount), step)
    if 2 * rest > step or (2 * rest == step and units % 2):
        units += 1
    sign = "-" if amount < 0 and units else ""
    whole, fraction = divmod(units, 10**places)
    return f"{sign}${whole:,}.{fraction:0{places}d}" if places else f"{sign}${whole:,}"


def show_exact_usd(amount: int) -> str:
    """An amount for human eyes with all its places, two at least: what somebody has set."""
    places = len(dump_usd(amount).partition(".")[2])
    return show_usd(amount, max(2, places))


class Cost(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What usage cost, by component, in 10⁻¹² USD: measured money, never an expectation.

    Costs add; they do not subtract. A difference of costs is a saving, which may be negative and is
    another type, as are quotes and expected values.
    """

    uncached: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    cache_read: int = 0
    output: int = 0
    server_tools: int = 0

    def __post_init__(self) -> None:
        amounts = _amounts_of(self)
        if not _ALL_INTEGERS.issuperset(map(type, amounts)) or min(amounts) < 0:
            raise ValueError(f"a cost is a whole number ≥ 0 of 10⁻¹² USD, not {self!r}")

    @property
    def components(self) -> tuple[tuple[str, int], ...]:
        """Name and amount of each component, in the order of a bill."""
        return tuple(zip(_COMPONENTS, _amounts_of(self), strict=True))

    @property
    def total(self) -> PicoUsd:
        """The sum, in 10⁻¹² USD."""
        written = self.cache_write_5m + self.cache_write_1h
        prompt = self.uncached + written + self.cache_read
        return PicoUsd(prompt + self.output + self.server_tools)

    @property
    def usd(self) -> Decimal:
        """The sum in dollars, exact."""
        return Decimal(dump_usd(self.total))

    def __add__(self, other: Cost) -> Cost:
        if not isinstance(other, Cost):
            return NotImplemented
        mine = dict(self.components)
        return Cost(**{name: mine[name] + amount for name, amount in other.components})

    def __str__(self) -> str:
        return dump_usd(self.total)

    def dump(self) -> dict[str, str]:
        """The bill as JSON wants it: each component and the total as exact decimal strings."""
        bill = {name: dump_usd(amount) for name, amount in self.components}
        return bill | {"total": dump_usd(self.total)}

    @classmethod
    def parse(cls, bill: dict[str, str]) -> Cost:
        """The cost that ``dump`` wrote; ``ValueError`` if its total is not the sum of its parts."""
        parts = {name: int(parse_usd(text)) for name, text in bill.items() if name != "total"}
        cost = cls(**parts)
        if "total" in bill and parse_usd(bill["total"]) != cost.total:
            raise ValueError(f"total {bill['total']!r} is not the sum of its parts, {cost}")
        return cost


#: the names of the components in the order of a bill, and all their amounts at once: a cost is made
#: and summed on the way of each call
_COMPONENTS: Final = Cost.__struct_fields__
_ALL_INTEGERS: Final = frozenset({int})
_amounts_of: Final[Callable[[Cost], tuple[int, ...]]] = attrgetter(*_COMPONENTS)
