"""What people type, as values: token counts with k and M, days, the price file."""

from __future__ import annotations

import argparse
import os
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from farthing.cli.main import did_you_mean
from farthing.errors import ConfigError, UnpricedModelError
from farthing.pricing import Catalog, RateCard, catalog, parse_overrides

__all__ = [
    "default_price_file",
    "load_catalog",
    "parse_count",
    "parse_day",
    "parse_gap",
    "parse_since",
    "require_known",
    "today_utc",
]

_COUNT: Final = re.compile(r"(\d[\d_,]*)(?:\.(\d+))?\s*([kKmM]?)", re.ASCII)
_GAP: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d)", re.ASCII)
_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_ZEROS: Final = {"": 0, "k": 3, "m": 6}
#: beyond these somebody slipped on a key, and arithmetic with times would overflow
_MOST_TOKENS: Final = 10**12
_LONGEST_GAP: Final = timedelta(days=366)


def today_utc() -> date:
    """The day it is where prices change: the provider's, not the one on the user's wall."""
    return datetime.now(UTC).date()


def parse_count(text: str) -> int:
    """A whole number of tokens: ``200000``, ``200_000``, ``200,000``, ``200k`` or ``1.5M``."""
    found = _COUNT.fullmatch(text.strip())
    zeros = _ZEROS[found[3].lower()] if found else 0
    fraction = (found[2] or "").rstrip("0") if found else ""
    if found is None or len(fraction) > zeros:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a whole number of tokens; write 200000, 200_000, 200k or 1.5M"
        )
    digits = re.sub("[_,]", "", found[1]) + fraction.ljust(zeros, "0")
    if len(digits.lstrip("0")) > len(str(_MOST_TOKENS)) or int(digits) > _MOST_TOKENS:
        raise argparse.ArgumentTypeError(f"{text!r} is too many; at most {_MOST_TOKENS:,} count")
    return int(digits)


def parse_day(text: str) -> date:
    """A day, ``2026-10-07``."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day; write it as 2026-10-07") from None


def parse_gap(text: str) -> timedelta:
    """A time between two things: ``5s``, ``7m``, ``1.5h`` or ``2d``."""
    found = _GAP.fullmatch(text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time span; write 5s, 7m, 1.5h or 2d")
    seconds = float(found[1]) * _SECONDS[found[2]]
    if seconds > _LONGEST_GAP.total_seconds():
        raise argparse.ArgumentTypeError(f"{text!r} is too long; at most {_LONGEST_GAP.days}d")
    return timedelta(seconds=seconds)


def parse_since(text: str) -> date:
    """A day, or a number of days before today (UTC)."""
    number = text.removesuffix("d")
    if text != number and number.isascii() and number.isdigit() and len(number) <= 5:
        return today_utc() - timedelta(days=int(number))
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a day; write it as 2026-11-01, or 30d for the last thirty days"
        ) from None


def default_price_file() -> Path:
    """Where ``farthing price --refresh`` keeps what it found."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "farthing" / "prices.toml"


def load_catalog(given: Path | None = None) -> Catalog:
    """The shipped prices, then those of the default price file, then those of the file given."""
    found = catalog()
    default = default_price_file()
    if default.is_file():
        found = found.with_overrides(parse_overrides(_bytes(default), name=str(default)))
    if given is not None:
        found = found.with_overrides(parse_overrides(_bytes(given), name=str(given)))
    return found


def require_known(catalog: Catalog, model: str, *, on: date) -> RateCard:
    """The card of a model as a user typed it, or an error with the models that may be meant."""
    if catalog.canonical(model) is not None:
        return catalog.require(model, on=on)
    raise UnpricedModelError(
        f"unknown model {model!r}{_models_like(catalog, model.lower())}\n"
        "`farthing price --list` shows all; a price file (--prices) can add one",
        model=model,
    )


def _models_like(catalog: Catalog, word: str) -> str:
    """Close names, else the newest models with this word in their name, as for ``opus``."""
    first: dict[str, date] = {}
    for card in catalog.cards:
        first[card.model] = min(card.valid_from, first.get(card.model, card.valid_from))
    newest = sorted(first, key=lambda name: first[name], reverse=True)
    having = [name for name in newest if word and word in name]
    named = " or ".join(repr(name) for name in having[:3])
    return did_you_mean(word, catalog.names) or (f"; did you mean {named}?" if named else "")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ConfigError(f"cannot read the price file {str(path)!r}: {why}") from error
