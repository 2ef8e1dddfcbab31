"""Budgets as text: the tables of a TOML file, and the same as JSON for pages.

The file is an operator's: it may be written by hand or by ``farthing budget``, which keeps what it
says and not how it was laid out. Dollars are decimal strings or numbers as they stand in the text,
never floats on the way. An unknown name is an error, because a budget that is read half is a budget
that is not kept.

Rules of this file: no I/O; who knows time zones hands over ``zone_of``.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Any, Final

import msgspec

from farthing.core.budgets import (
    Budget,
    BudgetRaise,
    Mode,
    OnOverrun,
    OnTrouble,
    ScopeKind,
    Step,
    root_first,
)
from farthing.core.budgets_windows import WindowKind
from farthing.errors import ConfigError
from farthing.pricing import catalog
from farthing.pricing.money import dump_usd, parse_usd

__all__ = [
    "MOST_REASON",
    "RaiseSpec",
    "budget_document",
    "dump_budgets",
    "parse_budget",
    "parse_budgets",
    "raise_of",
]

_HEAD: Final = """\
# Budgets, read by farthing and rewritten by `farthing budget`; docs/budgets.md says what they mean.
"""

#: the longest reason of a raise
MOST_REASON: Final = 200

_ZoneOf = Callable[[str], tzinfo]
_Usd = str | int


class RaiseSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A raise as it is written."""

    by_usd: _Usd
    until: Annotated[datetime, msgspec.Meta(tz=True)]
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_REASON)]


class _Spec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A budget as it is written; its defaults are those of ``Budget``."""

    name: str
    scope: ScopeKind
    limit_usd: _Usd
    window: WindowKind | None = None
    selector: str | None = None
    zone: str = "UTC"
    mode: Mode = "ample"
    thresholds: tuple[int, ...] = ()
    on_unpriced: OnTrouble = "refuse"
    on_fault: OnTrouble = "allow"
    ladder: tuple[Step, ...] = ()
    min_tokens: int = 1_024
    passes: int | None = None
    on_overrun: OnOverrun = "finish"
    raises: tuple[RaiseSpec, ...] = ()


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    budgets: tuple[_Spec, ...] = ()


def parse_budgets(raw: bytes, *, name: str, zone_of: _ZoneOf) -> tuple[Budget, ...]:
    """The budgets of a file, the widest scope first; ``name`` is what errors call it."""
    try:
        tables = tomllib.loads(raw.decode(), parse_float=str)
        specs = msgspec.convert(tables, _File).budgets
    except (ValueError, RecursionError) as error:  # also of numbers and lists beyond all measure
        raise ConfigError(f"{name}: {error}; docs/budgets.md has an example") from None
    budgets = [_budget(spec, zone_of) for spec in specs]
    names = [budget.name for budget in budgets]
    twice = next((each for each in names if names.count(each) > 1), None)
    if twice is not None:
        raise ConfigError(f"{name}: there are two budgets {twice!r}; give each its own name")
    return tuple(root_first(budgets))


def parse_budget(document: dict[str, Any], *, zone_of: _ZoneOf) -> Budget:
    """One budget of a page or a command."""
    try:
        return _budget(msgspec.convert(document, _Spec), zone_of)
    except msgspec.ValidationError as error:
        raise ConfigError(f"the budget cannot be read: {error}") from None


def raise_of(spec: RaiseSpec) -> BudgetRaise:
    """A raise as a budget has it."""
    by_pico = _pico(spec.by_usd, "by_usd")
    if by_pico <= 0:
        raise ConfigError(f"by_usd is {spec.by_usd!r}; a raise is more than nothing")
    try:
        until = spec.until.astimezone(UTC)
    except OverflowError:
        raise ConfigError(f"until is {spec.until}, which no calendar has in UTC") from None
    return BudgetRaise(by_pico=by_pico, until=until, reason=spec.reason)


def budget_document(budget: Budget) -> dict[str, Any]:
    """A budget as JSON; what is at its default is left out."""
    spec = _Spec(
        name=budget.name,
        scope=budget.scope,
        limit_usd=dump_usd(budget.limit_pico),
        window=budget.window,
        selector=budget.selector,
        zone=str(budget.zone),
        mode=budget.mode,
        thresholds=budget.thresholds,
        on_unpriced=budget.on_unpriced,
        on_fault=budget.on_fault,
        ladder=budget.ladder,
        min_tokens=budget.min_tokens,
        passes=budget.passes,
        on_overrun=budget.on_overrun,
        raises=tuple(
            RaiseSpec(by_usd=dump_usd(each.by_pico), until=each.until, reason=each.reason)
            for each in budget.raises
        ),
    )
    said: dict[str, Any] = msgspec.to_builtins(spec)
    defaults = {each.name: each.default for each in msgspec.structs.fields(_Spec)}
    return {
        name: value
        for name, value in said.items()
        if name in {"name", "scope", "limit_usd", "window"}
        or (value if not isinstance(value, list) else tuple(value)) != defaults[name]
    }


def dump_budgets(budgets: Iterable[Budget]) -> str:
    """The file that says these."""
    return _HEAD + "".join(line for budget in budgets for line in _lines(budget))


def _lines(budget: Budget) -> Iterator[str]:
    document = budget_document(budget)
    raises = document.pop("raises", [])
    yield "\n[[budgets]]\n"
    yield from (f"{name} = {_value(value)}\n" for name, value in document.items())
    for each in raises:
        yield "\n[[budgets.raises]]\n"
        yield from (f"{name} = {_value(value)}\n" for name, value in each.items())


def _value(value: object) -> str:
    """JSON's strings, whole numbers and lists of them are TOML's, but for two things: TOML has no
    surrogate pairs, so what is not ASCII stands as it is, and it does not take a bare DEL.
    """
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _budget(spec: _Spec, zone_of: _ZoneOf) -> Budget:
    window: WindowKind = "call" if spec.scope == "call" else "total"
    return Budget(
        name=spec.name,
        scope=spec.scope,
        limit_pico=_pico(spec.limit_usd, f"budget {spec.name!r}: limit_usd"),
        window=spec.window or window,
        selector=_selector(spec),
        zone=UTC if spec.zone == "UTC" else zone_of(spec.zone),
        mode=spec.mode,
        thresholds=spec.thresholds,
        on_unpriced=spec.on_unpriced,
        on_fault=spec.on_fault,
        ladder=spec.ladder,
        min_tokens=spec.min_tokens,
        passes=spec.passes,
        on_overrun=spec.on_overrun,
        raises=tuple(raise_of(each) for each in spec.raises),
    )


def _selector(spec: _Spec) -> str | None:
    """A model by any of its names is that model, as in the keys of calls."""
    if spec.scope != "model" or spec.selector is None:
        return spec.selector
    return catalog().canonical(spec.selector) or spec.selector


def _pico(amount: _Usd, what: str) -> int:
    try:
        return parse_usd(str(amount).strip())
    except ValueError:
        raise ConfigError(f"{what} is {amount!r}; it takes dollars, such as '12.50'") from None
