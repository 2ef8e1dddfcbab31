"""Money in SQLite: whole dollars and the remainder in 10⁻¹² USD, two columns that cannot overflow.

A 64-bit sum of 10⁻¹² USD ends near 9.2 million dollars. The remainder is never negative, so the
amount is always ``usd * 10**12 + pico``, also below zero.
"""

from __future__ import annotations

from farthing.pricing import PicoUsd
from farthing.pricing.money import PICO_PER_USD

__all__ = ["added", "join", "joined_sums", "split", "summed"]


def split(amount_pico: int | None) -> tuple[int, int] | tuple[None, None]:
    """The two columns of an amount."""
    return (None, None) if amount_pico is None else divmod(amount_pico, PICO_PER_USD)


def join(usd: int | None, pico: int | None) -> PicoUsd | None:
    """The amount of two columns."""
    return None if usd is None or pico is None else PicoUsd(usd * PICO_PER_USD + pico)


def added(name: str) -> str:
    """SQL that adds ``excluded`` to an amount in an upsert, carrying into the dollars."""
    return (
        f"{name}_usd = {name}_usd + excluded.{name}_usd"
        f" + ({name}_pico + excluded.{name}_pico) / {PICO_PER_USD},"
        f" {name}_pico = ({name}_pico + excluded.{name}_pico) % {PICO_PER_USD}"
    )


def summed(name: str, *, where: str = "TRUE") -> str:
    """SQL for three partial sums of an amount that stay far from 64 bits; see ``joined_sums``.

    Ten million remainders below 10¹² would leave 64 bits, so they are added in halves.
    """
    parts = (f"{name}_usd", f"{name}_pico / 1000000", f"{name}_pico % 1000000")
    return ", ".join(f"coalesce(sum({part}) FILTER (WHERE {where}), 0)" for part in parts)


def joined_sums(usd: int, micro: int, pico: int) -> PicoUsd:
    """The amount that the three sums of ``summed`` make."""
    return PicoUsd(usd * PICO_PER_USD + micro * 1_000_000 + pico)
