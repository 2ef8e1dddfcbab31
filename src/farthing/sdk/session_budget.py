"""What one session may spend: an amount is held before each call and settled after it, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from farthing.errors import BudgetExceeded
from farthing.pricing.money import PICO_PER_USD, PicoUsd, show_usd

__all__ = ["SessionBudget", "parse_budget"]


def parse_budget(
    budget_usd: Decimal | float | str | None, *, name: str = "budget_usd"
) -> PicoUsd | None:
    """A cap in dollars as it was typed; None: no cap."""
    if budget_usd is None:
        return None
    try:
        amount = Decimal(str(budget_usd))
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"{name}={budget_usd!r}: give dollars, 0 or more, or None for no cap")
    return PicoUsd(int(amount * PICO_PER_USD))


@dataclass(slots=True)
class SessionBudget:
    """``spent + held`` never passes the cap. A session's turns come one by one: no lock."""

    cap: PicoUsd | None
    spent: int = 0
    held: int = 0

    def hold(self, amount: int) -> None:
        """Hold the worst case of a call, or refuse it."""
        if self.cap is not None and self.spent + self.held + amount > self.cap:
            raise self._refusal(amount, self.cap)
        self.held += amount

    def settle(self, held: int, cost: int) -> None:
        """Replace what was held for a call by what it cost."""
        self.held -= held
        self.spent += cost

    def _refusal(self, amount: int, cap: int) -> BudgetExceeded:
        return BudgetExceeded(
            f"this call may cost {show_usd(amount)}, and of the session's {show_usd(cap)} "
            f"{show_usd(self.spent)} are spent and {show_usd(self.held)} held: raise budget_usd, "
            "or lower max_tokens",
            scope="session",
            limit=_usd(cap),
            spent=_usd(self.spent),
            held=_usd(self.held),
            estimated=_usd(amount),
        )


def _usd(amount: int) -> Decimal:
    return Decimal(amount) / PICO_PER_USD
