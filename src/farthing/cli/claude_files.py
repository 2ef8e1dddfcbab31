"""Claude Code's settings file on disk: changed so that a crash at any point can be undone.

Theory of operation. Before the settings change, a file beside them keeps what they were, byte for
byte, and the digest of what they become. Both are written whole, synced and renamed into place; the
record is removed last. So at each instant the settings are the old bytes or the new ones, never
part of either, and where they are the new ones the record is there. Undoing compares digests:

    settings are what we wrote        → the original bytes, or no file if there was none
    settings are the original         → nothing to restore: install or uninstall was interrupted
    settings are something else       → edited since: only what is ours is spliced out
    settings are gone                 → somebody removed them: they stay gone

Rules of this file: every step goes through ``os``, so that a test can kill the process between any
two; a link stays a link, its target is what changes; permissions and owner are those of the file
that is replaced.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from farthing.cli.claude_settings import without_variables
from farthing.errors import ConfigError

__all__ = ["Record", "SettingsFile", "Undone", "claude_settings_path"]

_PRIVATE: Final = 0o600
_FOLDER_MODE: Final = 0o700
_FORMAT: Final = 1
_MODE_BITS: Final = 0o7777


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What undoing needs: in the file beside the settings."""

    format: int
    #: base64; None: there was no file
    original: str | None
    original_sha256: str | None
    installed_sha256: str
    #: the variables we set
    variables: dict[str, str]

    @property
    def original_bytes(self) -> bytes | None:
        """What the settings were."""
        return None if self.original is None else b64decode(self.original)


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """How an undo went."""

    #: ``restored``: byte for byte; ``spliced``: out of an edited file; ``clean``: nothing to do
    how: str
    #: variables that somebody else has set since: they stay
    kept: tuple[str, ...] = ()


def claude_settings_path(environment: Mapping[str, str]) -> Path:
    """Where Claude Code keeps the user's settings."""
    folder = environment.get("CLAUDE_CONFIG_DIR")
    return (Path(folder) if folder else Path.home() / ".claude") / "settings.json"


class SettingsFile:
    """The settings of one user, and the record of what we did to them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record_path = path.with_name(f"{path.name}.farthing-undo")
        with _translated(path):
            #: what a link points to, so that the link stays
            self._target = path.resolve()

    def read(self) -> bytes | None:
        """The settings as they are; None: there is no file."""
        return _read(self._target)

    def record(self) -> Record | None:
        """What undoing needs; None: nothing is installed."""
        raw = _read(self.record_path)
        if raw is None:
            return None
        with _trusted(self.record_path):
            record = msgspec.json.decode(raw, type=Record)
            if record.format != _FORMAT or _digest(record.original_bytes) != record.original_sha256:
                raise ValueError("its digest or format is another")
        return record

    def install(self, before: bytes | None, after: bytes, variables: Mapping[str, str]) -> None:
        """Put ``after`` in the place of ``before``, with the record first."""
        record = Record(
            format=_FORMAT,
            original=None if before is None else b64encode(before).decode("ascii"),
            original_sha256=_digest(before),
            installed_sha256=sha256(after).hexdigest(),
            variables=dict(variables),
        )
        with _translated(self.path):
            self.path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            _write(self.record_path, msgspec.json.encode(record), like=None)
            if self.read() != before:
                os.unlink(self.record_path)  # noqa: PTH108 -- through os, as all steps
                raise ConfigError(f"{str(self.path)!r} changed just now: try again")
            _write(self._target, after, like=self._target)

    def after_undo(self) -> tuple[Undone, bytes | None] | None:
        """How undoing would go and what the settings were then; None: nothing is installed."""
        record = self.record()
        return None if record is None else _undone(self.read(), record)

    def undo(self) -> Undone | None:
        """Put things back; None: nothing was installed."""
        planned = self.after_undo()
        if planned is not None:
            with _translated(self.path):
                self._replace(planned[1])
                os.unlink(self.record_path)  # noqa: PTH108 -- through os, as all steps
                _sync_folder(self.record_path.parent)
        self._remove_drafts()
        return None if planned is None else planned[0]

    def _replace(self, after: bytes | None) -> None:
        now = self.read()
        if after is None and now is not None:
            os.unlink(self._target)  # noqa: PTH108 -- through os, as all steps
            _sync_folder(self._target.parent)
        elif after is not None and after != now:
            _write(self._target, after, like=self._target)

    def _remove_drafts(self) -> None:
        """What a killed process had begun to write."""
        with _translated(self.path):
            for path in (self._target, self.record_path):
                with suppress(FileNotFoundError, NotADirectoryError):
                    os.unlink(_draft(path))  # noqa: PTH108 -- through os, as all steps


def _undone(now: bytes | None, record: Record) -> tuple[Undone, bytes | None]:
    """How to undo, and what the settings are then; None: no file."""
    original = record.original_bytes
    if now is None or now == original:
        return Undone(how="clean"), now
    if _digest(now) == record.installed_sha256:
        return Undone(how="restored"), original
    after, kept = without_variables(now, record.variables, original)
    if original is None and b"".join(after.split()) in {b"", b"{}"}:
        return Undone(how="spliced", kept=kept), None
    return Undone(how="spliced", kept=kept), after


def _digest(raw: bytes | None) -> str | None:
    return None if raw is None else sha256(raw).hexdigest()


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.name}.farthing-draft")


def _read(path: Path) -> bytes | None:
    with _translated(path), suppress(FileNotFoundError, NotADirectoryError):
        return path.read_bytes()
    return None


def _write(path: Path, raw: bytes, *, like: Path | None) -> None:
    """All of it or nothing, also if the machine stops: draft, sync, rename, sync the folder."""
    draft = _draft(path)
    with suppress(FileNotFoundError):
        os.unlink(draft)  # noqa: PTH108 -- through os, as all steps
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    try:
        rest = memoryview(raw)
        while rest:
            rest = rest[os.write(file, rest) :]
        _own_like(file, like)
        os.fsync(file)
    except BaseException:
        os.unlink(draft)  # noqa: PTH108 -- through os, as all steps
        raise
    finally:
        os.close(file)
    os.replace(draft, path)  # noqa: PTH105 -- through os, as all steps
    _sync_folder(path.parent)


def _own_like(file: int, like: Path | None) -> None:
    """Permissions and owner of the file that will be replaced, where there is one."""
    if like is None or not like.exists():
        return
    there = like.stat()
    with suppress(PermissionError):
        os.fchown(file, there.st_uid, there.st_gid)
    os.fchmod(file, there.st_mode & _MODE_BITS)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        why = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"cannot read or change {str(path)!r}: {why}; make it and its folder this user's"
        ) from error


@contextmanager
def _trusted(path: Path) -> Iterator[None]:
    try:
        yield
    except (msgspec.MsgspecError, ValueError) as error:
        raise ConfigError(
            f"the record {str(path)!r} is damaged ({error}), so farthing changes nothing: "
            "remove ANTHROPIC_BASE_URL and ENABLE_TOOL_SEARCH from the settings beside it, "
            "then the record"
        ) from None
