"""Claude Code's settings as bytes: our variables spliced into its ``env`` block, and out again.

Theory of operation. The file is the user's: comments of taste such as indentation, the order of
members and line ends stay. So nothing is decoded and written anew; members are inserted, replaced
and cut out where they lie. A byte-exact undo does not rest on cutting being the inverse of
inserting: whoever writes the file keeps the original (``cli/claude_files.py``), and cutting is for
files that changed in between.

Rules of this file: bytes in, bytes out, no I/O. What is not one JSON object with at most one
``env`` object is refused with ``ConfigError``; nothing is repaired.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from farthing.errors import ConfigError, RequestError
from farthing.wire.json import Member, decode_string, encode, members

__all__ = ["ENV", "environment_in", "with_variables", "without_variables"]

ENV: Final = "env"

_BOM: Final = b"\xef\xbb\xbf"
_EMPTY: Final = b"{}"
_UNIT: Final = b"  "


def environment_in(raw: bytes | None) -> dict[str, str | None]:
    """The variables that the settings set; None where one is no text."""
    env = _env(_body(raw))
    if env is None:
        return {}
    block = _body(raw)[env.start : env.end]
    return {member.name: _text(block[member.start : member.end]) for member in members(block)}


def with_variables(raw: bytes | None, variables: Mapping[str, str]) -> bytes:
    """The settings with these variables set, everything else byte for byte as it was."""
    body = _body(raw)
    env = _env(body)
    if env is None:
        value = _new_block(body, variables)
        changed = _set(body, ENV, value)
    else:
        block = body[env.start : env.end]
        for name, text in variables.items():
            block = _set(block, name, encode(text))
        changed = body[: env.start] + block + body[env.end :]
    return _mark(raw) + changed + (b"\n" if not (raw or b"").strip() else b"")


def without_variables(
    raw: bytes, variables: Mapping[str, str], original: bytes | None
) -> tuple[bytes, tuple[str, ...]]:
    """Settings that were edited since, with what is still ours put back as it was in ``original``.

    Also the names of those variables that are not ours any more: they stay.
    """
    body, before = _body(raw), _raw_variables(original)
    kept = list[str]()
    for name, text in variables.items():
        env = _env(body)
        block = _EMPTY if env is None else body[env.start : env.end]
        member = _find(block, name)
        if member is None:
            continue
        if _text(block[member.start : member.end]) != text:
            kept.append(name)
            continue
        assert env is not None  # the member stands in it
        block = _set(block, name, before[name]) if name in before else _unset(block, name)
        body = body[: env.start] + block + body[env.end :]
    if _env(_body(original)) is None and _is_empty(body, ENV):
        body = _unset(body, ENV)
    return _mark(raw) + body, tuple(kept)


def _body(raw: bytes | None) -> bytes:
    """The JSON object itself: without the mark of order; ``{}`` where there is nothing."""
    body = (raw or b"").removeprefix(_BOM)
    return body if body.strip() else _EMPTY


def _mark(raw: bytes | None) -> bytes:
    return _BOM if (raw or b"").startswith(_BOM) else b""


def _env(body: bytes) -> Member | None:
    env = _find(body, ENV)
    if env is not None and body[env.start : env.start + 1] != b"{":
        raise ConfigError(f"{ENV!r} is no object in the settings of Claude Code: correct it first")
    return env


def _find(raw: bytes, name: str) -> Member | None:
    try:
        found = [member for member in members(raw) if member.name == name]
    except RequestError as error:
        raise ConfigError(
            f"the settings of Claude Code cannot be read ({error}); correct the file first: "
            "it must be one JSON object, without comments"
        ) from None
    if len(found) > 1:
        raise ConfigError(
            f"the settings of Claude Code have {name!r} {len(found)} times: leave one, then again"
        )
    return found[0] if found else None


def _text(raw: bytes) -> str | None:
    return decode_string(raw) if raw.startswith(b'"') else None


def _raw_variables(raw: bytes | None) -> dict[str, bytes]:
    body = _body(raw)
    env = _env(body)
    block = _EMPTY if env is None else body[env.start : env.end]
    return {member.name: block[member.start : member.end] for member in members(block)}


def _is_empty(body: bytes, name: str) -> bool:
    member = _find(body, name)
    return member is not None and not members(body[member.start : member.end])


def _set(raw: bytes, name: str, value: bytes) -> bytes:
    """An object with one member set: in its place, or behind the last."""
    there = _find(raw, name)
    if there is not None:
        return raw[: there.start] + value + raw[there.end :]
    known = members(raw)
    pair = encode(name) + b": " + value
    if known:
        end = known[-1].end
        gap = _gap(raw, known[0]) or b" "
        return raw[:end] + b"," + gap + pair + raw[end:]
    start = raw.index(b"{") + 1
    close = raw.index(b"}", start)
    if raw.strip() == _EMPTY:
        return raw[:start] + b"\n" + _UNIT + pair + b"\n" + raw[close:]
    return raw[:start] + b" " + pair + b" " + raw[close:]


def _unset(raw: bytes, name: str) -> bytes:
    """An object without one of its members, and without the comma that belonged to it."""
    known = members(raw)
    place = [member.name for member in known].index(name)
    if place:
        return raw[: known[place - 1].end] + raw[known[place].end :]
    if len(known) > 1:
        return raw[: known[0].key_start] + raw[known[1].key_start :]
    start = raw.index(b"{") + 1
    return raw[:start] + raw[raw.index(b"}", known[0].end) :]


def _gap(raw: bytes, first: Member) -> bytes:
    """What stands between the brace and the first key: the object's way to begin a line."""
    return raw[raw.index(b"{") + 1 : first.key_start]


def _new_block(body: bytes, variables: Mapping[str, str]) -> bytes:
    """An ``env`` object in the hand of the settings it goes into."""
    known = members(body)
    gap = _gap(body, known[0]) if known else b"\n" + _UNIT
    line, newline, indent = gap.rpartition(b"\n")
    pairs = list(_pairs(variables))
    if not newline:
        return b"{" + b", ".join(pairs) + b"}"
    inner = line + newline + indent + (indent or _UNIT)
    return b"{" + inner + (b"," + inner).join(pairs) + line + newline + indent + b"}"


def _pairs(variables: Mapping[str, str]) -> Iterator[bytes]:
    for name, text in variables.items():
        yield encode(name) + b": " + encode(text)
