"""Signatures of calls: tool, canonical arguments, normalised result; and how alike two are.

Theory of operation
-------------------
Two calls are the same if tool and arguments are equal as JSON and the results are equal once what
changes by itself is taken out (``farthing.core.loop_texts``). Nothing is taken out of arguments:
the next hour of a log, the next ticket by its uuid are other questions, however alike the answers.

Normalising costs microseconds per kilobyte, and most calls of an honest agent resemble no earlier
one. So two results are normalised only where they could be equal: when both have the same
``sketch``, a few counts of characters that normalisation never touches, about the same length,
samples that agree, and beginnings that do. All else is decided by integers. SimHash is computed as
rarely, and only says whether a result is *new*; it never makes two calls equal. What a command does
is told by the words in it: a regular expression looks closer only where one of them stands.

Digests are keyed BLAKE2b, so that what rests in a report cannot be guessed from likely texts.
Nothing here keeps text but the blocks themselves, which the request owns anyway.

Rules of this file: values in, values out; nothing depends on what was seen before.
Interface: ``read_call``, ``read_words``, ``CallView``, ``is_same_result``, ``is_near``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from typing import Final

import msgspec

from farthing.core.loop_texts import differ_early, normalise, simhash
from farthing.wire import json
from farthing.wire.blocks import Block

__all__ = [
    "NEAR_BITS",
    "SAYS_LITTLE_BYTES",
    "CallView",
    "is_near",
    "is_same_result",
    "read_call",
    "read_words",
]

_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder(order="sorted").encode

#: at most so many bits differ between near-duplicates
NEAR_BITS: Final = 3

#: a result shorter than this (``ok``, ``no matches``) does not tell two calls apart
SAYS_LITTLE_BYTES: Final = 64

#: longer arguments are compared as they are spelled; they, and longer commands, change something
_SHORT: Final = 4096
_SHORT_COMMAND: Final = 1024
#: longer names, which the API refuses, are not remembered
_SHORT_NAME: Final = 256
#: where the words of a SimHash stand; what is behind, the samples and lengths compare
_HEAD_BYTES: Final = 8192
#: so much is compared before a result is normalised
_BEGINNING_BYTES: Final = 2048
#: lengths of results that may still be equal or near: a part of the longer one, and some bytes
_SLACK_BYTES: Final = 32
#: pieces by which texts that are not alike are told apart at once, and how many have to agree
_SAMPLES: Final = 8
_SAMPLE_BYTES: Final = 12
_COULD_BE_EQUAL: Final = 2
_COULD_BE_NEAR: Final = 5

#: part of every uuid: whoever asks by one asks for another record each time
_NAMES_A_RECORD: Final = re.compile(rb"-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-")
#: what is no letter, digit or underscore becomes a space
_WORDS: Final = bytes(
    code if (code < 0x80 and chr(code).isalnum()) or code == 0x5F else 0x20 for code in range(256)
)

_WAITING_NAME: Final = re.compile(
    r"(?i)(?:^|[_.-])(?:sleep|wait|poll|backoff|await)|sleep$|wait$|poll$"
    r"|^(?:TaskOutput|BashOutput|AgentOutputTool)$"
)
_WAITING_COMMAND: Final = re.compile(
    rb"\bsleep +[\d$.]|(?:^|[;&|\"] *)wait\b|\bgh run watch\b|\bkubectl (?:wait|rollout status)\b"
    rb"|--(?:watch|wait|follow)\b|\btail +-[fF]\b|\bStart-Sleep\b"
)
#: one of these stands in every command that waits
_WAITING_WORDS: Final = frozenset(b"sleep wait watch rollout follow tail Sleep".split())
_CHANGING_NAME: Final = re.compile(
    r"(?i)edit|write|create|update|delete|remove|insert|add|set_|send|book|cancel|modify|replace"
    r"|submit|apply|patch|move|rename|commit|push|save|post_|put_|todo|exchange|return_|transfer"
)
_CHANGING_COMMAND: Final = re.compile(rb"[^2&]>|sed +-[a-zA-Z]*i|--fix\b")
_CHANGING_WORDS: Final = frozenset(
    b"rm mv cp mkdir touch tee chmod ln kill patch install uninstall add commit push pull checkout"
    b" reset stash merge rebase restore apply restart start stop create delete update deploy build"
    b" fmt format migrate make write".split()
)
_TRANSIENT: Final = re.compile(
    rb"(?i)timed? ?out|rate.?limit|too many requests|overloaded|temporar|try again|unavailable"
    rb"|connection (?:refused|reset)|ECONNRE|\b(?:429|502|503|504|529)\b"
)


class CallView:
    """One call with its result, read as far as was asked for."""

    __slots__ = (
        "_result_key",
        "_simhash",
        "address",
        "arguments_key",
        "changes",
        "content",
        "is_another_alike",
        "is_error",
        "key",
        "sketch",
        "tool",
        "waits",
    )

    def __init__(self, tool: str, address: str, arguments_key: bytes, content: bytes) -> None:
        #: empty where the agent only spoke
        self.tool = tool
        self.address = address
        #: keyed digest of tool and canonical arguments
        self.arguments_key = arguments_key
        #: the result as JSON
        self.content = content
        self.is_error = False
        self.waits = False
        #: new arguments do something new, whatever comes back
        self.changes = False
        #: asked for the first time, and answered nearly, but not quite, as something else was
        self.is_another_alike = False
        self.sketch = _sketch(tool, content)
        self.key = b""
        self._result_key: bytes | None = None
        self._simhash: int | None = None

    @property
    def places(self) -> tuple[object, object, object]:
        """Where it is remembered: by its look, its tool and its arguments."""
        return (self.sketch, self.tool, self.arguments_key)

    @property
    def says_little(self) -> bool:
        """Is the result too short to tell two calls apart?"""
        return len(self.content) < SAYS_LITTLE_BYTES

    @property
    def is_transient(self) -> bool:
        """Is the result a fault that may pass?"""
        return self.is_error and _TRANSIENT.search(self.content) is not None

    @property
    def is_normalised(self) -> bool:
        """Is ``result_key`` known already?"""
        return self._result_key is not None

    @property
    def result_key(self) -> bytes:
        """Keyed digest of the normalised result."""
        if self._result_key is None:
            text = normalise(_text(self.content))
            self._result_key = blake2b(
                text.encode("utf-8", "surrogatepass"), digest_size=16, key=self.key
            ).digest()
        return self._result_key

    @property
    def fingerprint(self) -> int:
        """SimHash of the normalised result."""
        if self._simhash is None:
            head = _text(self.content[:_HEAD_BYTES])
            self._simhash = simhash(normalise(head), key=self.key)
        return self._simhash


def read_call(
    use: Block, result: Block | None, *, poll_tools: frozenset[str], key: bytes
) -> CallView:
    """A tool use and what came back for it."""
    name = use.get("name") or b""
    tool, waits, changes = _known(name) if len(name) <= _SHORT_NAME else _by_name(name)
    arguments = use.get("input") or b"{}"
    content = b'""' if result is None else result.get("content") or b'""'
    call = CallView(tool, use.address, _arguments_key(tool, arguments, key), content)
    call.key = key
    call.is_error = result is not None and result.get("is_error") == b"true"
    call.waits = waits or tool in poll_tools
    call.changes = (
        changes or len(arguments) > _SHORT or _NAMES_A_RECORD.search(arguments) is not None
    )
    if b'"command"' in arguments:
        _read_command(call, arguments)
    return call


def _by_name(raw: bytes) -> tuple[str, bool, bool]:
    """A tool's name; and by it, does it wait, or change something?"""
    tool = json.decode_string(raw) if raw.startswith(b'"') else ""
    return tool, _WAITING_NAME.search(tool) is not None, _CHANGING_NAME.search(tool) is not None


_known: Final = lru_cache(maxsize=512)(_by_name)


def _read_command(call: CallView, arguments: bytes) -> None:
    """Does the command in these arguments wait, or change something?"""
    if len(arguments) > _SHORT_COMMAND:
        call.changes = True
        return
    words = arguments.translate(_WORDS).split()
    if not call.waits and not _WAITING_WORDS.isdisjoint(words):
        call.waits = _WAITING_COMMAND.search(arguments) is not None
    if not call.changes:
        call.changes = (
            not _CHANGING_WORDS.isdisjoint(words) or _CHANGING_COMMAND.search(arguments) is not None
        )


def read_words(blocks: list[Block], address: str, key: bytes) -> CallView:
    """A turn without calls: what was said takes the result's place."""
    content = b"".join(block.get("text") or b"" for block in blocks)
    call = CallView("", address, b"", content)
    call.key = key
    return call


def is_same_result(one: CallView, other: CallView) -> bool:
    """Equal results, but for what changes by itself?"""
    if one.sketch != other.sketch or not _is_length_like(one, other):
        return False
    if one.content == other.content:
        return True
    if _agreeing(one.content, other.content) < _COULD_BE_EQUAL:
        return False
    if not (one.is_normalised and other.is_normalised) and differ_early(
        _text(one.content[:_BEGINNING_BYTES]), _text(other.content[:_BEGINNING_BYTES])
    ):
        return False
    return one.result_key == other.result_key


def is_near(one: CallView, other: CallView) -> bool:
    """Results of the same tool that differ in a few words only?"""
    if not _is_length_like(one, other) or one.tool != other.tool or one.says_little:
        return False
    if abs(one.sketch[2] - other.sketch[2]) > 1:
        return False
    if _agreeing(one.content, other.content) < _COULD_BE_NEAR:
        return False
    return (one.fingerprint ^ other.fingerprint).bit_count() <= NEAR_BITS


def _sketch(tool: str, content: bytes) -> tuple[str, int, int, int]:
    return (tool, content.count(b"("), content.count(b"\\n"), content.count(b"="))


def _is_length_like(one: CallView, other: CallView) -> bool:
    more, less = len(one.content), len(other.content)
    if more < less:
        more, less = less, more
    return more - less <= _SLACK_BYTES + more // 20


def _agreeing(one: bytes, other: bytes) -> int:
    """How many of eight samples of one stand in the other at about their place."""
    step = len(one) // (_SAMPLES + 1)
    if step < _SAMPLE_BYTES:
        return _SAMPLES
    slack = _SLACK_BYTES + abs(len(one) - len(other))
    hits = 0
    for at in range(step, step * _SAMPLES + 1, step):
        sample = one[at : at + _SAMPLE_BYTES]
        hits += other.find(sample, max(0, at - slack), at + _SAMPLE_BYTES + slack) >= 0
    return hits


def _arguments_key(tool: str, raw: bytes, key: bytes) -> bytes:
    if len(raw) <= _SHORT:
        raw = _canonical(raw)
    name = tool.encode("utf-8", "surrogatepass")
    return blake2b(b"%b\0%b" % (name, raw), digest_size=16, key=key).digest()


def _canonical(raw: bytes) -> bytes:
    """Keys in their order; what cannot be read is compared as it is spelled."""
    try:
        read = _decode(raw)
        if type(read) is dict and "command" in read:
            read.pop("description", None)  # in ever other words, for whoever watches
        return _encode(read)
    except (msgspec.MsgspecError, RecursionError):
        return raw


def _text(content: bytes) -> str:
    """A result's JSON with its lines broken: escapes of both sides are alike, so they may stay."""
    return content.decode("utf-8", "replace").replace("\\n", "\n").replace("\\t", "\t")
