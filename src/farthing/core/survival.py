"""How often an entry outlives its documented lifetime: learned, per kind of entry.

Theory of operation. Five minutes and one hour are *minimum* lifetimes (API facts 2.3), and an entry
that we hold for expired may have been kept warm by a client we never see: a second session of the
same user, a colleague in the workspace. Recorded traffic shows how different the kinds are: a
conversation finds its own entries in 3 of 100 cases past their time, a new conversation finds the
one-hour head that an earlier one wrote in 9 of 10 within four hours. So the rate is learned per
scope, TTL and age, and by who else touched the entry, and starts near zero: without evidence an
entry is alive iff age < TTL.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from farthing.core.prefix import LIFETIMES, PrefixView, Ttl

__all__ = ["Bond", "Expired", "Rate", "SurvivalRates"]

#: Per observation: half of the weight lies in the last 700 or so.
_DECAY = 0.999

#: The same within one scope: whether others work there now is a matter of hours, not of months.
_OWN_DECAY = 0.8

#: Beta counts before any observation.
_PRIOR = (0.2, 3.8)

#: What all scopes together know counts as this many observations of a new scope.
_SHARED_WEIGHT = 1.0

#: Upper edges of the age classes, in lifetimes. The first is the provider's own tardiness: deletion
#: is "prompt, not immediate"; recorded entries outlived their time by up to 14 seconds.
_AGE_EDGES = (1.05, 4.0)

#: Whose entry it is, seen from the request that tests it: only this lineage ever touched it, others
#: did too, or another one did last.
Bond = Literal["own", "shared", "foreign"]

#: A head is presumed alive once that is likelier than not. A conversation that nobody else touched
#: needs more: a wrong guess there is about all of its tokens.
_PRESUMED: dict[Bond, float] = {"own": 0.6, "shared": 0.5, "foreign": 0.5}

_Key = tuple[str, Bond, Ttl, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """A tested entry that is past its lifetime by our clock."""

    block: int
    bond: Bond
    tokens: int
    ttl: Ttl
    age: timedelta


@dataclass(slots=True)
class Rate:
    """A Beta-like rate whose counts fade."""

    struck: float
    spared: float
    decay: float = _DECAY

    @property
    def mean(self) -> float:
        """The estimated probability of a strike."""
        return self.struck / (self.struck + self.spared)

    def record(self, *, strike: bool) -> None:
        """One more observation; older ones fade."""
        self.struck = self.struck * self.decay + strike
        self.spared = self.spared * self.decay + (not strike)


class SurvivalRates:
    """Learned rates of entries read beyond their lifetime; bounded by ``capacity``."""

    def __init__(self, *, capacity: int = 1024) -> None:
        self._capacity = capacity
        self._own: OrderedDict[_Key, Rate] = OrderedDict()
        self._shared: dict[_Key, Rate] = {}

    def __len__(self) -> int:
        return len(self._own)

    def probability(self, view: PrefixView, entry: Expired) -> float:
        """That this entry is still there."""
        shared = self._shared.get(_key("", entry))
        prior = shared.mean if shared else _PRIOR[0] / sum(_PRIOR)
        own = self._own.get(_key(view.scope, entry))
        if own is None:
            return prior
        return (own.struck + _SHARED_WEIGHT * prior) / (own.struck + own.spared + _SHARED_WEIGHT)

    def presumes(self, view: PrefixView, entry: Expired) -> bool:
        """More likely alive than not? For a whole conversation of its own: clearly so."""
        return self.probability(view, entry) > _PRESUMED[entry.bond]

    def record(self, view: PrefixView, entry: Expired, *, survived: bool) -> None:
        """An answer showed whether it was still there."""
        self._shared.setdefault(_key("", entry), Rate(*_PRIOR)).record(strike=survived)
        key = _key(view.scope, entry)
        self._own.setdefault(key, Rate(0.0, 0.0, _OWN_DECAY)).record(strike=survived)
        self._own.move_to_end(key)
        if len(self._own) > self._capacity:
            self._own.popitem(last=False)


def _key(scope: str, entry: Expired) -> _Key:
    lifetimes = entry.age / LIFETIMES[entry.ttl]
    return (scope, entry.bond, entry.ttl, sum(lifetimes >= edge for edge in _AGE_EDGES))
