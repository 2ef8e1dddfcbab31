"""What was learned about lifetimes, as one plain value, and the advice that follows from it.

Theory of operation. ``TtlTables`` holds one ``TtlTable`` per class, and what answers showed about
topping up. It is dumped into the ledger, one row per process; rows add up, so a process that starts
takes the sum of all rows as its ``seed`` and keeps its own experience apart. ``Advice`` looks at
both. Classes go from narrow to broad: the first with enough gaps is followed.

Priors, and why:

- nothing seen: what the client asked for; if it asked for nothing, 5 m (good practice, and the
  provider's own default);
- until a class has seen ``GUARD_GAPS`` gaps, its costs are mixed by half with a break-even law, on
  which 5 m and 1 h cost the same: a few gaps move a decision only if they are clear;
- whether a 1 h breakpoint behind a read keeps the whole prefix for the hour: one half, with the
  weight of two answers;
- a new prefix is presented again within the hour in three of five cases, with the weight of five:
  it takes ten one-shots in a row before the next one is not written;
- a pause of 5 to 60 minutes follows one request in forty, with the weight of twenty requests;
- a longer lifetime than the client asked for has to be clearly cheaper, because its price is paid
  at once and by one conversation: ``_LONGER_BASE``, and ``_LONGER_HEAD`` where only other
  conversations gain. Chosen so that hardly any conversation becomes dearer, not to save most.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Self

import msgspec

from farthing.core.prefix import Ttl
from farthing.core.ttl_experts import Expert, Multipliers, Step, TtlTable
from farthing.errors import LedgerError

__all__ = ["GUARD_GAPS", "Advice", "TtlTables"]

GUARD_GAPS: Final = 20
_GUARD_SHARE: Final = 0.5
#: costs on the break-even law, relative to 5 m
_GUARD: Final[Mapping[Ttl, float]] = {"5m": 1.0, "1h": 1.0}

#: how much cheaper, relative to 5 m, another lifetime than the client's has to be
_OTHER: Final = 0.01
_LONGER_BASE: Final = 0.1
_LONGER_HEAD: Final = 0.3

_PAUSES_PRIOR: Final = (0.5, 20.0)
_RETURNS_PRIOR: Final = (3.0, 5.0)
_UPGRADES_PRIOR: Final = 1.0

#: classes kept; further ones share one table
_MOST_CLASSES: Final = 256
_OTHERS: Final = "others"


class TtlTables(msgspec.Struct, kw_only=True):
    """Tables by class, and how often a top-up was seen to hold."""

    by_class: dict[str, TtlTable] = {}
    upgrades_held: float = 0.0
    upgrades_failed: float = 0.0

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """What ``dump`` wrote; ``LedgerError`` for anything else."""
        try:
            return msgspec.json.decode(raw, type=cls)
        except msgspec.MsgspecError as error:
            raise LedgerError(f"learned lifetimes cannot be read: {error}") from None

    @classmethod
    def total(cls, rows: Iterable[TtlTables]) -> Self:
        """The experience of several processes."""
        whole = cls()
        for row in rows:
            whole.upgrades_held += row.upgrades_held
            whole.upgrades_failed += row.upgrades_failed
            for name, table in row.by_class.items():
                whole.table(name).add(table)
        return whole

    def dump(self) -> bytes:
        """As they rest in the ledger."""
        return msgspec.json.encode(self)

    def table(self, name: str) -> TtlTable:
        """The table of a class; beyond the limit, the one that the rest shares."""
        if name not in self.by_class:
            if len(self.by_class) >= _MOST_CLASSES:
                name = _OTHERS
            self.by_class.setdefault(name, TtlTable())
        return self.by_class[name]


class Advice:
    """Follows the tables: own experience, and that of others taken over at the start."""

    def __init__(self, seed: TtlTables | None = None) -> None:
        # through bytes, so that the caller's value stays as it is
        self._seed = TtlTables() if seed is None else TtlTables.parse(seed.dump())
        self.own = TtlTables()

    def record(self, classes: Sequence[str], step: Step, prices: Multipliers) -> None:
        """Every expert of these classes pays for this request."""
        for name in classes:
            self.own.table(name).record(step, prices)

    def open_epoch(self, classes: Sequence[str]) -> None:
        """A decision is due in these classes."""
        for name in classes:
            self.own.table(name).open_epoch()
            if name in self._seed.by_class:
                self._seed.by_class[name].open_epoch()

    def record_upgrade(self, *, held: bool) -> None:
        """An answer after a pause showed whether a top-up had kept the prefix."""
        if held:
            self.own.upgrades_held += 1
        else:
            self.own.upgrades_failed += 1

    @property
    def upgrade_probability(self) -> float:
        """That a top-up keeps the whole prefix for the hour."""
        held = self._seed.upgrades_held + self.own.upgrades_held + _UPGRADES_PRIOR
        failed = self._seed.upgrades_failed + self.own.upgrades_failed + _UPGRADES_PRIOR
        return held / (held + failed)

    def pause_probability(self, name: str) -> float:
        """That a gap of 5 to 60 minutes follows a request of this class."""
        known = self._known(name)
        pauses, chances = _PAUSES_PRIOR
        return (known.pauses + pauses) / (known.chances + chances)

    def record_new(self, name: str, *, returned: bool) -> None:
        """Was a new prefix of this class presented again?"""
        self.own.table(name).record_new(returned=returned)

    def record_late(self, name: str) -> None:
        """One that had counted as not returned was presented again after all."""
        self.own.table(name).record_late()

    def is_one_shot(self, name: str, prices: Multipliers) -> bool:
        """Are new prefixes of this class presented again too rarely for a write at first sight?"""
        known = self._known(name)
        returned, opened = _RETURNS_PRIOR
        reuse = (known.returned + returned) / (known.opened + opened)
        return reuse < prices.least_reuse

    def base(self, classes: Sequence[str], asked: Ttl | None) -> Ttl:
        """For how long a mostly cold write should be."""
        scores = self._scores(classes)
        if scores:
            scores["5m"] = min(scores["5m"], self._upgraded(classes))
        return _best(scores, asked or "5m", longer=_LONGER_BASE)

    def head(self, classes: Sequence[str], asked: Ttl | None) -> Ttl:
        """For how long a shared head should be written."""
        return _best(self._scores(classes), asked or "5m", longer=_LONGER_HEAD)

    def _known(self, name: str) -> TtlTable:
        known = TtlTable()
        for tables in (self._seed, self.own):
            if name in tables.by_class:
                known.add(tables.by_class[name])
        return known

    def known(self, name: str) -> TtlTable:
        """What is known of a class: a copy."""
        return self._known(name)

    def _followed(self, classes: Sequence[str]) -> TtlTable:
        tables = [self._known(name) for name in classes]
        return next((table for table in tables if table.gaps >= GUARD_GAPS), tables[-1])

    def _scores(self, classes: Sequence[str]) -> dict[Ttl, float]:
        """Costs relative to those of 5 m; empty if nothing was seen."""
        table = self._followed(classes)
        unit = table.costs.get("5m", 0.0)
        if not unit:
            return {}
        share = 0.0 if table.gaps >= GUARD_GAPS else _GUARD_SHARE
        return {
            ttl: (1 - share) * table.costs[ttl] / unit + share * guard
            for ttl, guard in _GUARD.items()
        }

    def _upgraded(self, classes: Sequence[str]) -> float:
        """The cost of 5 m with top-ups, as far as they are believed in, relative to 5 m."""
        costs = self._followed(classes).costs
        holds: Expert = "5m_then_1h"
        fails: Expert = "5m_then_1h_failing"
        held = self.upgrade_probability
        return (held * costs[holds] + (1 - held) * costs[fails]) / costs["5m"]


def _best(scores: Mapping[Ttl, float], asked: Ttl, *, longer: float) -> Ttl:
    """What was asked for, unless the other lifetime is cheaper by its margin."""
    other: Ttl = "1h" if asked == "5m" else "5m"
    margin = longer if other == "1h" else _OTHER
    is_better = bool(scores) and scores[other] < scores[asked] - margin
    return other if is_better else asked
