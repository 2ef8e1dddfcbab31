"""The lever table: every named way to lower cost, its risk class, and what it may touch.

Theory of operation. A lever looks at a request and proposes; it never acts. This table is the one
place that says which levers exist: ids are frozen (a test pins them), because ledgers, policies and
headers name levers by id for years. An id is never reused and never renamed; a lever that goes away
stays here as a row that no profile has.

``risk`` decides which profile may apply a lever on its own:

- ``exact``: the model is shown the same tokens;
- ``equivalent``: the same meaning by contract, spelled or placed otherwise;
- ``lossy``: it is shown something else.

``touches`` is what an edit of the lever may change; the planner refuses edits outside of it.
``pinned`` says when a lineage may change its mind: see ``farthing.core.pins``.

Interface: ``LEVERS`` (id → ``Lever``), ``find_lever``, ``ABLATION_ORDER``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final, Literal

from farthing.errors import ConfigError

__all__ = [
    "ABLATION_ORDER",
    "ABLATION_VERSION",
    "LEVERS",
    "PROFILES",
    "RISKS",
    "Lever",
    "Profile",
    "Risk",
    "Touch",
    "When",
    "find_lever",
    "matching",
]

Profile = Literal["observe", "safe", "balanced", "aggressive"]
PROFILES: Final[tuple[Profile, ...]] = ("observe", "safe", "balanced", "aggressive")

Risk = Literal["exact", "equivalent", "lossy"]
RISKS: Final[tuple[Risk, ...]] = ("exact", "equivalent", "lossy")

#: what a lever may change: breakpoints, their lifetime, when a call leaves, calls of our own,
#: parameters that are not rendered, or content of one of the three levels
Touch = Literal["marks", "ttl", "timing", "own_calls", "unrendered", "tools", "system", "messages"]

#: when a lineage may take a lever up or drop it: at any request, at a cold write, or only where
#: content may change (the first request, or a cold write without bound thinking)
When = Literal["any", "cold", "content"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lever:
    """One row of the table."""

    id: str
    risk: Risk
    #: completes "it …"
    does: str
    touches: frozenset[Touch]
    pinned: When
    #: needs to be named in every profile, whatever its risk: it spends money before it saves any,
    #: or lets the answer say what the client did not ask for
    by_name_only: bool = False

    @property
    def family(self) -> str:
        """What comes before the dot: ``cache``, ``repair``."""
        return self.id.partition(".")[0]

    def is_default_in(self, profile: Profile) -> bool:
        """Is it on in this profile without being named? ``observe`` plans what ``safe`` applies."""
        if self.by_name_only:
            return False
        allowed = {"balanced": 1, "aggressive": 2}.get(profile, 0)
        return RISKS.index(self.risk) <= allowed


_BY_NAME: Final = frozenset({"own_calls", "unrendered"})


def _lever(  # a row of the table below
    id_: str, risk: Risk, pinned: When, touches: str, does: str
) -> Lever:
    words: Iterable[Touch] = touches.split()  # type: ignore[assignment]  # a test compares them
    return Lever(
        id=id_,
        risk=risk,
        does=does,
        touches=frozenset(words),
        pinned=pinned,
        by_name_only=not _BY_NAME.isdisjoint(touches.split()),
    )


_TABLE: Final = (
    _lever(
        "cache.auto",
        "exact",
        "any",
        "marks",
        "asks for the provider's automatic breakpoint where the client marks nothing",
    ),
    _lever(
        "cache.marks",
        "exact",
        "any",
        "marks",
        "places breakpoints that the client left unused; moves and removes none",
    ),
    _lever(
        "cache.ttl",
        "exact",
        "cold",
        "ttl",
        "chooses how long a breakpoint's entry lives, by learned return times",
    ),
    _lever(
        "cache.keepalive",
        "exact",
        "any",
        "own_calls",
        "keeps an entry alive by calls of our own where returns are likely enough",
    ),
    _lever(
        "cache.fanout",
        "exact",
        "any",
        "timing",
        "lets parallel first calls on one cold prefix wait for the first byte of the first",
    ),
    _lever(
        "cache.diagnostics",
        "exact",
        "any",
        "unrendered",
        "asks the provider for the reason of a miss, on a sample and after a surprise",
    ),
    _lever(
        "repair.tools_order",
        "equivalent",
        "content",
        "tools",
        "sorts the tool definitions by name",
    ),
    _lever(
        "repair.schema_keys",
        "equivalent",
        "content",
        "tools",
        "sorts the keys of the tools' schemas",
    ),
    _lever(
        "repair.volatile_system",
        "equivalent",
        "content",
        "system messages",
        "moves lines of the system prompt that change from call to call behind the stable ones",
    ),
)

LEVERS: Final[Mapping[str, Lever]] = MappingProxyType({lever.id: lever for lever in _TABLE})

#: Savings are split by taking the levers away in this order, families of later issues included;
#: inside a family repairs come first, since marks are placed on what they leave.
ABLATION_ORDER: Final = (
    "repair.tools_order",
    "repair.schema_keys",
    "repair.volatile_system",
    "cache.auto",
    "cache.marks",
    "cache.ttl",
    "cache.diagnostics",
    "cache.fanout",
    "cache.keepalive",
)
ABLATION_VERSION: Final = 1


def find_lever(id_: str, *, where: str) -> Lever:
    """The lever of this id; ``ConfigError`` naming ``where`` it was asked for."""
    lever = LEVERS.get(id_)
    if lever is None:
        near = get_close_matches(id_, LEVERS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(LEVERS)}"
        raise ConfigError(f"{where} names {id_!r}, which is no lever; {hint}")
    return lever


def matching(pattern: str) -> frozenset[str]:
    """The ids that a pattern names: an id, ``cache.*``, or ``*``; empty if there is none."""
    if pattern == "*":
        return frozenset(LEVERS)
    if pattern.endswith(".*"):
        family = pattern.removesuffix(".*")
        return frozenset(lever.id for lever in _TABLE if lever.family == family)
    return frozenset({pattern}) & LEVERS.keys()
