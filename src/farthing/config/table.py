"""The one table of settings; TOML keys, environment names, flags and a docs page come from it.

``Settings`` *is* the table: each field says its key, kind, default and help once. A value may be
given four times; ``default < file < environment < flag``, and where it came from is kept. Nothing
here reads a file or the environment: whoever does (``cli``, ``compose``) hands over what was read.
Unknown names are errors with a suggestion, because a setting that is silently ignored is a budget
that is silently not kept.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, fields
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Final, Literal

from farthing.config import kinds
from farthing.config.budgets import BudgetSettings
from farthing.config.kinds import Kind
from farthing.config.rows import setting as _setting
from farthing.errors import ConfigError

__all__ = [
    "ENVIRONMENT_PREFIX",
    "SETTINGS",
    "Layer",
    "Resolved",
    "Setting",
    "Settings",
    "parse_environment",
    "parse_file",
    "parse_flags",
    "resolve",
]

ENVIRONMENT_PREFIX: Final = "FARTHING_"
#: names of that form that are no settings: where the settings lie, and switches of our own tests
_NO_SETTINGS: Final = frozenset(
    {"FARTHING_CONFIG", "FARTHING_DATA", "FARTHING_EXAMPLES", "FARTHING_PRICES", "FARTHING_WHEEL"}
)
_MASK: Final = "********"

_Scalar = str | int | float | bool


_MB: Final = 1024 * 1024
_ON: Final = True


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Settings(BudgetSettings):
    """All settings of a gateway process, checked."""

    # -- the door
    host: str = _setting(
        "gateway.host", kinds.TEXT, "127.0.0.1", "address to listen on; other than loopback is open"
    )
    port: int = _setting("gateway.port", kinds.PORT, 8787, "port to listen on; 0 takes a free one")
    drain_seconds: float = _setting(
        "gateway.drain_seconds", kinds.SECONDS, 25.0, "how long calls under way may take at the end"
    )
    metrics: bool = _setting("gateway.metrics", kinds.SWITCH, _ON, "serve /metrics")
    otel: bool = _setting(
        "gateway.otel",
        kinds.SWITCH,
        not _ON,
        "send spans and metrics by OTLP to where the OTEL_EXPORTER_OTLP_* variables say",
    )
    # -- who may come in
    require_key: bool = _setting(
        "access.require_key",
        kinds.SWITCH,
        not _ON,
        "every call needs a virtual key, also before the first one is made; see docs/keys.md",
    )
    hosts: tuple[str, ...] = _setting(
        "access.hosts",
        kinds.WORDS,
        (),
        "names besides 127.0.0.1 and localhost under which this machine's clients know the gateway",
    )
    # -- the way upstream
    upstream: str = _setting(
        "upstream.url", kinds.URL, "https://api.anthropic.com", "base URL of the Claude API"
    )
    api_key: str | None = _setting(
        "upstream.api_key",
        kinds.TEXT,
        None,
        "key of the gateway's own, sent instead of the clients' credentials",
        secret=True,
    )
    api_key_file: str | None = _setting(
        "upstream.api_key_file", kinds.PATH, None, "file that holds that key"
    )
    admin_key: str | None = _setting(
        "upstream.admin_key",
        kinds.TEXT,
        None,
        "admin key for `farthing ledger reconcile`; the gateway itself never uses it",
        secret=True,
    )
    trust_env: bool = _setting(
        "upstream.trust_env", kinds.SWITCH, _ON, "honour proxy and CA variables of the environment"
    )
    connect_seconds: float = _setting(
        "upstream.connect_seconds", kinds.SECONDS, 10.0, "how long connecting may take"
    )
    silence_seconds: float = _setting(
        "upstream.silence_seconds",
        kinds.SECONDS,
        0.0,
        "how long an answer may be silent before it counts as cut; 0: as long as the client waits",
    )
    # -- message batches
    rewrite_results_url: bool = _setting(
        "batches.rewrite_results_url",
        kinds.SWITCH,
        _ON,
        "let results_url name this gateway, so that results pass through it and are booked",
    )
    batch_poll_seconds: float = _setting(
        "batches.poll_seconds",
        kinds.SECONDS,
        60.0,
        "how soon to ask after a batch, then ever more rarely; needs a key of its own; 0: never",
    )
    # -- limits on memory held for a peer
    body_limit: int = _setting(
        "limits.body", kinds.SIZE, 32 * _MB, "largest body of a Messages or count_tokens request"
    )
    batch_limit: int = _setting("limits.batch", kinds.SIZE, 256 * _MB, "largest body of a batch")
    answer_limit: int = _setting(
        "limits.answer", kinds.SIZE, 64 * _MB, "largest plain answer that is held to be metered"
    )
    # -- the record
    ledger: str | None = _setting(
        "ledger.path", kinds.PATH, None, "the ledger's file; default: see `farthing ledger path`"
    )
    retention_days: int = _setting(
        "ledger.retention_days", kinds.COUNT, 0, "delete rows older than this; 0 keeps all"
    )
    record: str | None = _setting(
        "record.dir", kinds.PATH, None, "record bodies as traces into this folder; default: never"
    )
    record_cap: int = _setting(
        "record.cap", kinds.SIZE, 1024 * _MB, "size of that folder, beyond which the oldest goes"
    )
    record_redaction: Literal["none", "filler", "digest"] = _setting(
        "record.redaction",
        kinds.choice("none", "filler", "digest"),
        "none",
        "what stands for text in recorded bodies",
    )
    # -- levers and budgets
    cache: Literal["engine", "auto", "off"] = _setting(
        "levers.cache",
        kinds.choice("engine", "auto", "off"),
        "engine",
        "off: no lever exists and no byte is looked at for one; auto: the provider's automatic "
        "prompt caching for clients that mark nothing, and no other lever",
    )
    profile: Literal["observe", "safe", "balanced", "aggressive"] = _setting(
        "levers.profile",
        kinds.choice("observe", "safe", "balanced", "aggressive"),
        "safe",
        "which levers may act without being named; see docs/levers.md",
    )
    levers_on: tuple[str, ...] = _setting(
        "levers.on", kinds.WORDS, (), "levers that act although the profile leaves them out"
    )
    levers_off: tuple[str, ...] = _setting(
        "levers.off", kinds.WORDS, (), "levers that do not act; `cache.*` names a family"
    )
    holdout: float = _setting(
        "levers.holdout",
        kinds.SHARE,
        0.0,
        "the share of tasks that no lever touches, to compare with; see docs/savings.md",
    )
    fanout_seconds: float = _setting(
        "levers.fanout_seconds",
        kinds.SECONDS,
        20.0,
        "how long a call may wait for the first byte of one that writes the same prefix; 0: never",
    )
    policy: str | None = _setting(
        "levers.policy", kinds.PATH, None, "rules per key and task type, as a TOML file"
    )
    task_usd: int | None = _setting(
        "budget.task_usd", kinds.USD, None, "the most one task may spend, in dollars"
    )
    budget_fault: Literal["open", "closed"] = _setting(
        "budget.on_fault",
        kinds.choice("open", "closed"),
        "open",
        "what a budget does that cannot be asked, or cannot price a call",
    )
    # -- logging
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        "log.level", kinds.choice("debug", "info", "warning", "error"), "info", "least level logged"
    )
    log_format: Literal["text", "json"] = _setting(
        "log.format", kinds.choice("text", "json"), "text", "how log lines are written"
    )

    def __post_init__(self) -> None:
        if self.api_key is not None and self.api_key_file is not None:
            raise ConfigError("upstream.api_key and upstream.api_key_file are both set: keep one")

    def __repr__(self) -> str:
        """What differs from the defaults, secrets masked."""
        said = (
            f"{row.name}={row.shown(row.value_in(self))}"
            for row in SETTINGS
            if row.value_in(self) != row.default
        )
        return f"Settings({', '.join(said)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row of the table, under all its names."""

    #: the attribute of ``Settings``
    name: str
    #: in the TOML file
    key: str
    kind: Kind
    default: object
    help: str
    is_secret: bool

    @property
    def environment(self) -> str:
        """The environment variable."""
        return f"{ENVIRONMENT_PREFIX}{self.name.upper()}"

    @property
    def flag(self) -> str | None:
        """The option of the command line; a secret has none, because ``ps`` shows options."""
        return None if self.is_secret else f"--{self.name.replace('_', '-')}"

    def value_in(self, settings: Settings) -> object:
        """This setting's value."""
        value: object = getattr(settings, self.name)
        return value

    def shown(self, value: object) -> str:
        """A value for human eyes, as it would be written; a secret is only said to be there."""
        if value is None:
            return ""
        return _MASK if self.is_secret else self.kind.dump(value)

    def parse(self, given: _Scalar, origin: str) -> object:
        """The checked value of what was given; ``ConfigError`` names the place."""
        text = given if isinstance(given, str) else self.kind.text_of(given)
        value = None if text is None else self.kind.parse(text.strip())
        if value is None:
            is_hidden = self.is_secret or (self.kind is kinds.URL and "@" in str(given))
            shown = _MASK if is_hidden else repr(given)
            raise ConfigError(f"{origin}: {self.key} is {shown}; it takes {self.kind.expects}")
        return value


def _rows() -> tuple[Setting, ...]:
    own = Settings.__annotations__  # what is inherited comes behind it
    declared: list[Field[Any]] = sorted(fields(Settings), key=lambda row: row.name not in own)
    return tuple(Setting(name=row.name, default=row.default, **row.metadata) for row in declared)


SETTINGS: Final = _rows()
_BY_KEY: Final = MappingProxyType({row.key: row for row in SETTINGS})
_BY_ENVIRONMENT: Final = MappingProxyType({row.environment: row for row in SETTINGS})
_BY_NAME: Final = MappingProxyType({row.name: row for row in SETTINGS if row.flag})


@dataclass(frozen=True, slots=True)
class Layer:
    """What one source says: attribute → checked value and where exactly it stands."""

    values: Mapping[str, tuple[object, str]]


@dataclass(frozen=True, slots=True)
class Resolved:
    """The settings in force and where each came from."""

    settings: Settings
    #: attribute → ``default``, ``file FILE``, ``environment NAME`` or ``flag --name``
    origins: Mapping[str, str]


def parse_file(raw: bytes, name: str) -> Layer:
    """The layer of a TOML file; ``name`` is what errors call it."""
    try:
        tables = tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name} is not TOML: {error}") from None
    origin = f"file {name}"
    given = dict(_flattened(tables, ""))
    _check_names(given, _BY_KEY, name)
    return _layer((_BY_KEY[key], value, origin) for key, value in given.items())


def parse_environment(environment: Mapping[str, str]) -> Layer:
    """The layer of the variables that begin with ``FARTHING_``; an empty one is not set."""
    given = {
        name: text
        for name, text in environment.items()
        if name.startswith(ENVIRONMENT_PREFIX) and name not in _NO_SETTINGS and text
    }
    _check_names(given, _BY_ENVIRONMENT, "the environment")
    return _layer(
        (_BY_ENVIRONMENT[name], text, f"environment {name}") for name, text in given.items()
    )


def parse_flags(given: Mapping[str, str | None]) -> Layer:
    """The layer of the command line, by attribute; None was not given."""
    said = {name: text for name, text in given.items() if text is not None}
    _check_names(said, _BY_NAME, "the command line")
    return _layer(
        (_BY_NAME[name], text, f"flag {_BY_NAME[name].flag}") for name, text in said.items()
    )


def resolve(*layers: Layer) -> Resolved:
    """The settings in force; a later layer wins."""
    merged: dict[str, tuple[object, str]] = {}
    for layer in layers:
        merged |= layer.values
    settings = Settings(**{name: value for name, (value, _) in merged.items()})  # type: ignore[arg-type]  # each was checked by its kind
    origins = {
        row.name: merged[row.name][1] if row.name in merged else "default" for row in SETTINGS
    }
    return Resolved(settings, origins)


def _layer(given: Iterable[tuple[Setting, _Scalar, str]]) -> Layer:
    return Layer({row.name: (row.parse(value, origin), origin) for row, value, origin in given})


def _flattened(table: Mapping[str, Any], prefix: str) -> Iterable[tuple[str, _Scalar]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _check_names(given: Iterable[str], known: Mapping[str, Setting], where: str) -> None:
    for name in given:
        if name not in known:
            near = _nearest(name, known)
            hint = f"did you mean {near!r}?" if near else "see `farthing config show`"
            raise ConfigError(f"{where} sets {name!r}, which is no setting; {hint}")


def _nearest(name: str, known: Iterable[str]) -> str | None:
    """What was meant; the section may be wrong or missing."""
    by_key = {one.rpartition(".")[2]: one for one in known}
    if near := get_close_matches(name, known, n=1):
        return near[0]
    near = get_close_matches(name.rpartition(".")[2], by_key, n=1)
    return by_key[near[0]] if near else None
