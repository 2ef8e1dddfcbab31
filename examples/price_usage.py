"""Price the usage that an answer reports, to the last fraction of a cent."""

from __future__ import annotations

from datetime import date

from farthing.pricing import catalog, price, show_usd
from farthing.wire.usage import Usage

DAY = date(2026, 11, 12)

if __name__ == "__main__":
    prices = catalog()
    card = prices.require("claude-opus-5-5", on=DAY)
    usage = Usage(uncached=2_000, cache_write_5m=8_000, cache_read=40_000, output=1_000)
    cost = price(usage, card, cards=prices.on(DAY))
    for component, amount in cost.components:
        print(f"{component:<15} {show_usd(amount)}")
    print(f"{'total':<15} ${cost}  ({card.id})")
