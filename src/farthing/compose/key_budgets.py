"""A key that is made with its budgets, and the budgets that a key has.

A key's budget is an ordinary one (``scope = "key"``, the key's name as selector), called after the
key and its window: ``key-ci-nightly-day``. It is set before the key is made, so no key exists
without the cap it was made with; a gateway that runs takes both over within a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final, get_args

from farthing.core.budgets import Budget
from farthing.core.budgets_windows import WindowKind
from farthing.driver.keys import Issued, KeyDesk, NewKey
from farthing.errors import ConfigError, FarthingError
from farthing.ledger.budgets_desk import BudgetDesk
from farthing.pricing.money import parse_usd

__all__ = ["budgets_of_key", "create_with_budgets", "key_budget"]

_WINDOWS: Final[tuple[WindowKind, ...]] = tuple(
    each for each in get_args(WindowKind) if each != "call"
)


def key_budget(name: str, said: str) -> Budget:
    """The budget of a key as it was typed: ``5/day``; without a window, in total."""
    amount, _, window = said.partition("/")
    kind = next((each for each in _WINDOWS if each == (window or "total")), None)
    limit: int | None = None
    with suppress(ValueError):
        limit = parse_usd(amount.strip().removeprefix("$"))
    if kind is None or limit is None or limit < 0:
        raise ConfigError(
            f"--budget has {said[:40]!r}; it takes dollars and a window, such as 5/day, one of "
            f"{', '.join(_WINDOWS)}"
        )
    return Budget(
        name=f"key-{name}-{kind}", scope="key", selector=name, window=kind, limit_pico=limit
    )


def create_with_budgets(
    keys: KeyDesk, wanted: NewKey, budgets: Sequence[Budget], desk: BudgetDesk, *, actor: str
) -> Issued:
    """A new key whose budgets are in force already; where it cannot be made, all is as before."""
    known = keys.keys()
    if any(key.name == wanted.name for key in known):
        return keys.create(wanted, actor=actor)  # says why not
    if len({budget.name for budget in budgets}) < len(budgets):
        raise ConfigError("--budget says two amounts for one window; give each window once")
    older = {each.name: each for each in desk.all()}
    made = list[Budget]()
    try:
        for budget in budgets:
            made.append(desk.set(budget, actor=actor))
        return keys.create(wanted, actor=actor)
    except FarthingError:
        for budget in made:
            _undo(budget, older.get(budget.name), desk, actor)
        raise


def _undo(made: Budget, older: Budget | None, desk: BudgetDesk, actor: str) -> None:
    """What an operator had set under this name is in force again."""
    if older is None:
        desk.remove(made.name, actor=actor)
    else:
        desk.set(replace(older, raises=()), actor=actor)  # its raises have stayed


def budgets_of_key(name: str, budgets: Iterable[Budget]) -> list[Budget]:
    """What caps a key by its name."""
    return [each for each in budgets if each.scope == "key" and each.selector == name]
