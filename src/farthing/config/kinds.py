"""The kinds of values that settings take: how each is read from text and written as text.

A kind reads one spelling for file, environment and flag alike: what TOML has as a number or a
boolean becomes the text one would have typed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from farthing.pricing.money import dump_usd, parse_usd

__all__ = [
    "COUNT",
    "PATH",
    "PORT",
    "SECONDS",
    "SHARE",
    "SIZE",
    "SWITCH",
    "TEXT",
    "URL",
    "USD",
    "WORDS",
    "Kind",
    "choice",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a setting's value may be."""

    #: stands for the value in help texts
    metavar: str
    #: completes "it takes …"
    expects: str
    #: None: it is no such value
    parse: Callable[[str], object | None]
    dump: Callable[[object], str] = str
    #: the TOML types it may be written in besides a string
    types: tuple[type, ...] = ()

    def text_of(self, value: object) -> str | None:
        """A TOML value as one would have typed it; None where it is of another type."""
        if type(value) not in self.types:
            return None
        return str(value).lower() if isinstance(value, bool) else str(value)


_NUMBER: Final = re.compile(r"\d{1,15}", re.ASCII)
_SHARE: Final = re.compile(r"0(?:\.\d{1,9})?|1(?:\.0{1,9})?", re.ASCII)
_DECIMAL: Final = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)
_SIZE: Final = re.compile(r"(\d{1,12})\s*(B|KB|MB|GB)?", re.ASCII | re.IGNORECASE)
_UNITS: Final = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}
_SWITCHES: Final = {"true": True, "yes": True, "on": True, "1": True} | {
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


def choice(*words: str) -> Kind:
    """One of some words."""
    return Kind(
        metavar="|".join(words),
        expects=f"one of {', '.join(words)}",
        parse=lambda text: text if text in words else None,
    )


def _parse_words(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (word.strip() for word in text.split(","))))


def _parse_count(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) else None


def _parse_port(text: str) -> int | None:
    port = _parse_count(text)
    return port if port is not None and port < 65_536 else None


def _parse_seconds(text: str) -> float | None:
    return float(text) if _DECIMAL.fullmatch(text) else None


def _parse_share(text: str) -> float | None:
    return float(text) if _SHARE.fullmatch(text) else None


def _parse_size(text: str) -> int | None:
    found = _SIZE.fullmatch(text)
    return int(found[1]) * _UNITS[(found[2] or "B").upper()] if found else None


def _dump_size(value: object) -> str:
    size = int(str(value))
    for unit in ("GB", "MB", "KB"):
        if size and size % _UNITS[unit] == 0:
            return f"{size // _UNITS[unit]} {unit}"
    return f"{size} B"


def _parse_usd(text: str) -> int | None:
    try:
        amount = parse_usd(text.removeprefix("$"))
    except ValueError:
        return None
    return amount if amount >= 0 else None


def _parse_url(text: str) -> str | None:
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  raises where it is none
    except ValueError:
        return None
    is_base = parts.scheme in {"http", "https"} and parts.hostname
    is_more = parts.query or parts.fragment
    # addresses are shown and logged: a password in one would be too
    return text.rstrip("/") if is_base and not is_more and "@" not in parts.netloc else None


TEXT: Final = Kind(metavar="TEXT", expects="a text", parse=lambda text: text or None)
WORDS: Final = Kind(
    metavar="A,B",
    expects="words with commas between them",
    parse=_parse_words,
    dump=lambda value: ",".join(value) if isinstance(value, tuple) else str(value),
)
PATH: Final = Kind(metavar="PATH", expects="a path", parse=lambda text: text or None)
URL: Final = Kind(
    metavar="URL", expects="an http or https URL without query or password", parse=_parse_url
)
COUNT: Final = Kind(metavar="N", expects="a whole number from 0", parse=_parse_count, types=(int,))
PORT: Final = Kind(metavar="N", expects="a port from 0 to 65535", parse=_parse_port, types=(int,))
SECONDS: Final = Kind(
    metavar="SECONDS",
    expects="a number of seconds such as 30 or 2.5",
    parse=_parse_seconds,
    dump=lambda value: f"{value:g}",
    types=(int, float),
)
SHARE: Final = Kind(
    metavar="SHARE",
    expects="a share from 0 to 1, such as 0.05",
    parse=_parse_share,
    dump=lambda value: f"{value:g}",
    types=(int, float),
)
SIZE: Final = Kind(
    metavar="SIZE",
    expects="a size such as 32 MB",
    parse=_parse_size,
    dump=_dump_size,
    types=(int,),
)
SWITCH: Final = Kind(
    metavar="on|off",
    expects="on or off",
    parse=lambda text: _SWITCHES.get(text.lower()),
    dump=lambda value: "on" if value else "off",
    types=(bool,),
)
USD: Final = Kind(
    metavar="USD",
    # a float has already been rounded by whoever read it, so dollars are text
    expects="dollars as text, such as '2.50'",
    parse=_parse_usd,
    dump=lambda value: dump_usd(int(str(value))),
    types=(int,),
)
