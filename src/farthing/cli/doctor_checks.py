"""What the doctor makes of what it sees: one function per thing that may be wrong.

Rules of this file: a finding that is not ``ok`` says what to do; ``fail`` means that calls do not
get through or that their cost is not known, ``warn`` that something is lost or soon will be.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from farthing.cli.arguments import load_catalog
from farthing.cli.claude_files import SettingsFile, claude_settings_path
from farthing.cli.claude_settings import environment_in
from farthing.cli.doctor_calibration import check_calibration
from farthing.cli.doctor_findings import Finding
from farthing.cli.doctor_probe import (
    Answer,
    ask,
    free_bytes,
    is_farthing,
    is_port_free,
    key_headers,
)
from farthing.cli.install import BASE_URL, TOOL_SEARCH, gateway_url
from farthing.compose.place import ledger_path
from farthing.config import Settings
from farthing.errors import FarthingError
from farthing.ledger.checking import check
from farthing.ledger.database import open_reader
from farthing.ledger.lock import owner
from farthing.pricing import Catalog
from farthing.pricing.generated_cards import SOURCES
from farthing.version import VERSION

__all__ = ["findings"]

#: what the extra `gateway` brings, and the packages whose version tells most
_NEEDED: Final = ("uvicorn", "httptools", "aiohttp", "brotli", "zstandard")
_SHOWN: Final = ("uvicorn", "aiohttp", "anthropic")
_GIB: Final = 1024**3
_LITTLE_BYTES: Final = _GIB
_NO_BYTES: Final = 100 * 1024**2
_OLD_CARDS: Final = timedelta(days=60)
_RECENT: Final = timedelta(days=30)
#: a batch's or a day's border moves by as much
_SKEW: Final = timedelta(minutes=1)
_WRONG_DAY: Final = timedelta(hours=1)
_LOCAL: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_OFF: Final = frozenset({"false", "0", "no", "off"})


def findings(
    settings: Settings, environment: Mapping[str, str], *, now: datetime, offline: bool
) -> Iterator[Finding]:
    """All checks, in the order in which to mend things."""
    yield _python()
    url = gateway_url(settings)
    is_up = is_farthing(url)
    yield _gateway(settings, url, is_up=is_up)
    yield from _clients(environment, url, is_up=is_up)
    if not offline:
        yield from _traffic(settings, environment, url if is_up else None, now)
    ledger = ledger_path(settings)
    yield _disk(ledger)
    yield _ledger(ledger)
    yield _prices(ledger, load_catalog(), now)
    yield check_calibration(ledger, load_catalog(), now)


def _python() -> Finding:
    python = ".".join(map(str, sys.version_info[:3]))
    missing = [name for name in _NEEDED if not _version(name)]
    shown = ", ".join(f"{name} {_version(name) or 'none'}" for name in _SHOWN)
    says = f"Python {python}, farthing {VERSION}; {shown}"
    if not missing:
        return Finding(name="python", level="ok", says=says)
    return Finding(
        name="python",
        level="fail",
        says=f"{says}; the gateway lacks {', '.join(missing)}",
        do="pip install 'farthing[gateway]'",
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _gateway(settings: Settings, url: str, *, is_up: bool) -> Finding:
    if is_up:
        ready = ask(f"{url}/readyz", direct=True)
        if ready.status == 200:
            return Finding(name="gateway", level="ok", says=f"serves {url}")
        return Finding(
            name="gateway",
            level="fail",
            says=f"{url} is {ready.text.strip()}",
            do="mend what it names, or restart it: `farthing serve`",
        )
    if settings.port and not is_port_free(settings.host, settings.port):
        return Finding(
            name="gateway",
            level="fail",
            says=f"another program listens at {url}",
            do="end it, or give the gateway another place: `farthing serve --port PORT`",
        )
    return Finding(
        name="gateway",
        level="warn",
        says=f"none runs at {url}; the port is free",
        do="start one: `farthing serve`; or one for a single command: `farthing run -- COMMAND`",
    )


def _clients(environment: Mapping[str, str], url: str, *, is_up: bool) -> Iterator[Finding]:
    """Who calls the gateway: this shell's programs, and Claude Code by its own settings."""
    shell = environment.get(BASE_URL)
    if shell is None:
        says = f"{BASE_URL} is not set: programs of this shell go past the gateway"
        do = f"export {BASE_URL}={url}"
        yield Finding(name="shell", level="warn", says=says, do=do)
    else:
        yield _pointing("shell", shell, url, is_up=is_up)
    file = SettingsFile(claude_settings_path(environment))
    try:
        set_there = environment_in(file.read())
    except FarthingError as error:
        yield Finding(name="claude", level="fail", says=str(error), do=f"correct {file.path}")
        return
    claude = set_there.get(BASE_URL) or shell
    if claude is None:
        says = "Claude Code goes past the gateway"
        do = "`farthing install claude`, or start it with `farthing run -- claude`"
        yield Finding(name="claude", level="warn", says=says, do=do)
        return
    yield _pointing("claude", claude, url, is_up=is_up)
    yield _tool_search(set_there.get(TOOL_SEARCH) or environment.get(TOOL_SEARCH))


def _pointing(name: str, given: str, url: str, *, is_up: bool) -> Finding:
    """Does a base URL lead to a gateway of ours that answers?"""
    base = given.rstrip("/")
    if (is_up and base == url) or (urlsplit(base).hostname in _LOCAL and is_farthing(base)):
        return Finding(name=name, level="ok", says=f"calls {base}")
    if urlsplit(base).hostname in _LOCAL:
        undo = "`farthing uninstall claude`" if name == "claude" else f"`unset {BASE_URL}`"
        says = f"calls {base}, where no gateway answers"
        return Finding(
            name=name, level="fail", says=says, do=f"start `farthing serve` there, or {undo}"
        )
    return Finding(
        name=name,
        level="warn",
        says=f"calls {base}, which is no gateway of this machine",
        do=f"if it should: set {BASE_URL} to {url}, and `farthing serve --upstream {base}`",
    )


def _tool_search(value: str | None) -> Finding:
    if value is None or value.lower() in _OFF:
        return Finding(
            name="tool search",
            level="warn",
            says="off: behind any gateway Claude Code sends every MCP tool with every call",
            do=f"`farthing install claude`, or export {TOOL_SEARCH}=true",
        )
    return Finding(name="tool search", level="ok", says=f"{TOOL_SEARCH}={value}")


def _traffic(
    settings: Settings, environment: Mapping[str, str], gateway: str | None, now: datetime
) -> Iterator[Finding]:
    """Does a call that costs nothing get an answer; and what does the other side's clock say?"""
    key = key_headers(environment)
    base = gateway or settings.upstream
    headers = {"anthropic-version": "2023-06-01", **key}
    is_direct = urlsplit(base).hostname in _LOCAL
    answer = ask(f"{base.rstrip('/')}/v1/models?limit=1", headers, direct=is_direct)
    way = f"through {gateway} " if gateway else ""
    yield _reached(answer, f"{settings.upstream} {way}".strip(), has_key=bool(key))
    if answer.status is not None:
        yield _clock(answer.date, now)


def _reached(answer: Answer, where: str, *, has_key: bool) -> Finding:
    status = answer.status
    if status is None or status >= 500:
        return Finding(
            name="traffic",
            level="fail",
            says=f"no answer of {where}: {status or answer.text.strip()[:200]}",
            do="check the network, HTTPS_PROXY, and `upstream.url` in `farthing config show`",
        )
    if status == 200:
        return Finding(name="traffic", level="ok", says=f"{where} answers")
    if not has_key:
        says = f"{where} answers; no key here to ask more with"
        return Finding(name="traffic", level="ok", says=says)
    return Finding(
        name="traffic",
        level="fail",
        says=f"{where} refuses the key of this shell with {status}",
        do="check ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN",
    )


def _clock(theirs: datetime | None, now: datetime) -> Finding:
    if theirs is None:
        return Finding(name="clock", level="ok", says="not compared: the answer had no Date")
    skew = abs(now - theirs)
    says = f"{skew.total_seconds():,.0f} s from the provider's"
    if skew <= _SKEW:
        return Finding(name="clock", level="ok", says=says)
    do = "set the clock (NTP): prices, budgets and reports go by the day"
    return Finding(name="clock", level="fail" if skew > _WRONG_DAY else "warn", says=says, do=do)


def _disk(ledger: Path) -> Finding:
    free, is_writable = free_bytes(ledger)
    says = f"{free / _GIB:.1f} GiB free for {ledger}"
    if not is_writable:
        do = "give this user write permission, or name another place: --ledger FILE"
        return Finding(name="disk", level="fail", says=f"{ledger} cannot be written", do=do)
    if free >= _LITTLE_BYTES:
        return Finding(name="disk", level="ok", says=says)
    do = "free space, or move the ledger: --ledger FILE"
    return Finding(name="disk", level="fail" if free < _NO_BYTES else "warn", says=says, do=do)


def _ledger(path: Path) -> Finding:
    if not path.is_file():
        says = f"none yet: the first start of a gateway makes {path}"
        return Finding(name="ledger", level="ok", says=says)
    try:
        faults = [found for found in check(path) if found.level == "fault"]
        process = owner(path.with_name(f"{path.name}.lock"))
    except FarthingError as error:
        do = "see `farthing ledger check`"
        return Finding(name="ledger", level="fail", says=str(error), do=do)
    if faults:
        says = "; ".join(f"{found.name}: {found.text}" for found in faults)
        return Finding(name="ledger", level="fail", says=says, do="see `farthing ledger check`")
    used = "not in use" if process is None else f"in use by process {process}"
    return Finding(name="ledger", level="ok", says=f"{path} agrees with itself, {used}")


def _prices(ledger: Path, catalog: Catalog, now: datetime) -> Finding:
    try:
        unpriced = _unpriced(ledger, now)
    except FarthingError as error:
        do = "mend the ledger first: `farthing ledger check`"
        return Finding(name="prices", level="warn", says=f"not checked: {error}", do=do)
    missing = sorted(name for name in unpriced if not catalog.find(name, on=now.date()))
    if missing:
        return Finding(
            name="prices",
            level="fail",
            says=f"used in the last 30 days, without a price: {', '.join(missing)}",
            do="`farthing price --refresh`, or give a card in a price file: docs/prices.md",
        )
    read_on = max(date.fromisoformat(day) for _, day in SOURCES.values())
    today = now.date()
    newest = max([read_on, *(c.valid_from for c in catalog.cards if c.valid_from <= today)])
    says = f"as of {newest}; every model in use has one"
    if today - newest > _OLD_CARDS:
        do = "`farthing price --refresh`, or a newer farthing"
        return Finding(name="prices", level="warn", says=says, do=do)
    return Finding(name="prices", level="ok", says=says)


def _unpriced(ledger: Path, now: datetime) -> list[str]:
    """Models that lately had calls without a price."""
    if not ledger.is_file():
        return []
    since = (now.astimezone(UTC) - _RECENT).strftime("%Y-%m-%dT%H")
    with closing(open_reader(ledger)) as reader:
        rows = reader.execute(
            "SELECT model FROM hourly WHERE hour >= ? GROUP BY model HAVING sum(unpriced) > 0",
            (since,),
        )
        return [row["model"] or "(no model)" for row in rows]
