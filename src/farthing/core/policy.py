"""Which levers are in force for a call: profiles, switches, and who overrides whom.

Theory of operation. A policy is the operator's rules as data: one rule for all, rules per task type
and per key, each with a profile and switches (``+id`` on, ``-id`` off). Asked for a call it starts
from the profile and lets the switches speak in order, the later one wins::

    file  <  task type  <  key  <  request header (x-farthing-levers: -cache.ttl,+repair.*)

The profile is that of the most particular rule that names one. A request header may always switch
off; it may switch on only where the key's rule says ``clients_may_switch_on``. What a header cannot
do leaves a note and changes nothing: an unknown id that is switched off is off already. In a file
the same is a ``ConfigError``, since a lever that is not kept off is a promise not kept.

``observe`` plans what the other rules ask for (``safe`` where they ask for nothing) and applies
nothing.

Interface: ``parse_policy`` (TOML) and ``policy_of`` (settings) → ``Policy``;
``Policy.in_force(key=, task_type=, header=)`` → ``InForce``; ``Policy.digest`` for pins.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import msgspec

from farthing.core.levers import LEVERS, PROFILES, Profile, find_lever, matching
from farthing.errors import ConfigError

__all__ = ["HEADER", "InForce", "Policy", "Rule", "Switches", "parse_policy", "policy_of"]

#: by which a client switches levers for one request
HEADER: Final = "x-farthing-levers"

_ITEM: Final = re.compile(r"([+-]?)\s*([a-z_]+(?:\.[a-z_]+|\.\*)?|\*)")
_LONGEST_HEADER: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """Levers named on or off; an id is never in both."""

    on: frozenset[str] = frozenset()
    off: frozenset[str] = frozenset()

    @classmethod
    def of_lists(cls, on: Iterable[str], off: Iterable[str], *, where: str) -> Switches:
        """From an operator's lists; ``ConfigError`` for what names no lever, or both at once."""
        named = [_named(patterns, where) for patterns in (on, off)]
        both = sorted(named[0] & named[1])
        if both:
            raise ConfigError(f"{where} switches {both[0]!r} both on and off; keep one")
        return cls(on=named[0], off=named[1])


def _named(patterns: Iterable[str], where: str) -> frozenset[str]:
    found: set[str] = set()
    for pattern in patterns:
        ids = matching(pattern) or {find_lever(pattern, where=where).id}
        found |= ids
    return frozenset(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is said for all calls, one task type or one key."""

    profile: Profile | None = None
    switches: Switches = field(default_factory=Switches)
    #: may a request header of this key switch levers on
    clients_may_switch_on: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """The levers of one call."""

    profile: Profile
    #: levers that may propose
    levers: frozenset[str]
    #: what the request header asked for in vain
    notes: tuple[str, ...] = ()

    @property
    def is_applied(self) -> bool:
        """Are plans carried out, or only recorded?"""
        return self.profile != "observe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All rules. The default is the profile ``safe``."""

    #: the operator's own name for this state of the rules
    version: str = ""
    everyone: Rule = field(default_factory=Rule)
    task_types: Mapping[str, Rule] = field(default_factory=dict)
    keys: Mapping[str, Rule] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """What a pin remembers of the rules it was chosen under; 16 hex digits."""
        groups = [
            [[name, _plain(group[name])] for name in sorted(group)]
            for group in (self.task_types, self.keys)
        ]
        said = [self.version, _plain(self.everyone), groups]
        return sha256(msgspec.json.encode(said)).hexdigest()[:16]

    def in_force(
        self,
        *,
        key: str | None = None,
        task_type: str | None = None,
        header: str | None = None,
        allowed: frozenset[str] | None = None,
    ) -> InForce:
        """The levers for a call of this key and task type with this request header.

        ``allowed``: the only levers that the key may have, whatever the rules or the header say.
        """
        of_key = self.keys.get(key or "", Rule())
        rules = (self.everyone, self.task_types.get(task_type or "", Rule()), of_key)
        profile: Profile = "safe"
        for rule in rules:
            profile = rule.profile or profile
        levers = {id_ for id_, lever in LEVERS.items() if lever.is_default_in(profile)}
        for rule in rules:
            levers = (levers - rule.switches.off) | rule.switches.on
        notes: list[str] = []
        for is_on, ids, item in _header_items(header, notes):
            if not is_on:
                levers -= ids
            elif of_key.clients_may_switch_on:
                levers |= ids
            elif ids - levers:
                notes.append(f"not_allowed:{item}")
        if allowed is not None:
            levers &= allowed
        return InForce(profile=profile, levers=frozenset(levers), notes=tuple(notes))


def _plain(rule: Rule) -> list[Any]:
    switches = rule.switches
    return [rule.profile, sorted(switches.on), sorted(switches.off), rule.clients_may_switch_on]


def _header_items(
    header: str | None, notes: list[str]
) -> Iterable[tuple[bool, frozenset[str], str]]:
    """What a header switches, in its order; without a sign an item is switched on."""
    for part in (header or "")[:_LONGEST_HEADER].split(","):
        item = part.strip()
        found = _ITEM.fullmatch(item)
        if item and found is None:
            notes.append("unreadable")  # the client's words are not repeated
        if found is None:
            continue
        ids = matching(found[2])
        if not ids:
            notes.append(f"unknown:{found[2][:40]}")
        yield found[1] != "-", ids, found[2]


# -- from files and settings ----------------------------------------------------------------------


def policy_of(
    profile: str, *, on: Iterable[str] = (), off: Iterable[str] = (), where: str = "levers"
) -> Policy:
    """The policy that three settings say."""
    switches = Switches.of_lists(on, off, where=where)
    return Policy(everyone=Rule(profile=_profile(profile, where), switches=switches))


def parse_policy(raw: bytes, name: str, *, base: Policy | None = None) -> Policy:
    """The policy of a TOML file; what it does not say for everyone is as in ``base``."""
    try:
        table = tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name} is not TOML: {error}") from None
    groups = {group: _groups(table.pop(group, {}), name, group) for group in ("task_types", "keys")}
    version = table.pop("version", "")
    if not isinstance(version, str):
        raise ConfigError(f"{name}: version is {version!r}; it takes a text")
    before = Rule() if base is None else base.everyone
    said = _rule(table, name)
    given = said.switches
    switches = Switches(
        on=(before.switches.on - given.off) | given.on,
        off=(before.switches.off - given.on) | given.off,
    )
    everyone = Rule(profile=said.profile or before.profile, switches=switches)
    return Policy(version=version, everyone=everyone, **groups)


def _groups(value: object, name: str, group: str) -> dict[str, Rule]:
    if not isinstance(value, dict) or not all(isinstance(rule, dict) for rule in value.values()):
        raise ConfigError(f"{name}: {group} takes tables, such as [{group}.nightly]")
    return {
        key: _rule(dict(rule), f"{name} [{group}.{key}]", is_key=group == "keys")
        for key, rule in value.items()
    }


def _rule(table: dict[str, Any], where: str, *, is_key: bool = False) -> Rule:
    profile = table.pop("profile", None)
    lists = [table.pop(name, []) for name in ("on", "off")]
    for names in lists:
        if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
            raise ConfigError(f"{where}: on and off take lists of lever ids, not {names!r}")
    may = table.pop("clients_may_switch_on", False) if is_key else False
    if not isinstance(may, bool):
        raise ConfigError(f"{where}: clients_may_switch_on is {may!r}; it takes true or false")
    if table:
        raise ConfigError(f"{where} says {next(iter(table))!r}, which is no word of a policy")
    return Rule(
        profile=None if profile is None else _profile(profile, where),
        switches=Switches.of_lists(*lists, where=where),
        clients_may_switch_on=may,
    )


def _profile(given: object, where: str) -> Profile:
    for profile in PROFILES:
        if profile == given:
            return profile
    raise ConfigError(f"{where}: profile is {given!r}; it takes one of {', '.join(PROFILES)}")
