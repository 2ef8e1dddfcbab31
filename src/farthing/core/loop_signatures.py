"""Signatures of calls: tool, canonical arguments, normalised result; and how alike two are.

Theory of operation
-------------------
Two calls are the same if tool and arguments are equal as JSON and the results are equal once what
changes by itself is taken out: timestamps, uuids, durations, process ids, hexadecimal ids, counters
that are named as such. Plain numbers stay, since ``11 failed`` after ``12 failed`` is progress.

Normalising costs microseconds per kilobyte, and most calls of an honest agent resemble no earlier
one. So a result is normalised only when it could be equal to an earlier result: when both have the
same ``sketch``, a few counts of characters that normalisation never touches, and about the same
length. All else is decided by integers. SimHash (64 bits, over the set of words) is computed as
rarely, and only says whether a result is *new*; it never makes two calls equal.

Digests are keyed BLAKE2b, so that what rests in a report cannot be guessed from likely texts.
Nothing here keeps text but the blocks themselves, which the request owns anyway.

Rules of this file: values in, values out; nothing depends on what was seen before.
Interface: ``read_call``, ``read_words``, ``CallView``, ``is_same_result``, ``is_near``.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final

import msgspec

from farthing.wire.blocks import Block

__all__ = [
    "NEAR_BITS",
    "SAYS_LITTLE_BYTES",
    "CallView",
    "is_near",
    "is_same_result",
    "normalise",
    "read_call",
    "read_words",
    "simhash",
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
#: words that a SimHash is made of, at most
_MOST_WORDS: Final = 600
#: and where these stand; what is behind, the samples and lengths compare
_HEAD_BYTES: Final = 8192
#: lengths of results that may still be equal or near: a part of the longer one, and some bytes
_SLACK_BYTES: Final = 32
#: pieces by which texts that are not alike are told apart at once, and how many have to agree
_SAMPLES: Final = 8
_SAMPLE_BYTES: Final = 12
_COULD_BE_EQUAL: Final = 2
_COULD_BE_NEAR: Final = 5

_INSTANT: Final = (
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?"
    r"|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
)
_COUNTED: Final = (
    "pid|process|attempt|try|retry|retries|iteration|iter|request|seq|sequence|poll|counter"
    "|call|run"
)
#: what is volatile inside one word; a word is what stands between spaces
_VOLATILE: Final = re.compile(
    r"(?<![0-9A-Za-z_])(?:"
    + _INSTANT
    + r"|\d{1,2}:\d\d:\d\d(?:[.,]\d+)?"
    + r"|1[5-9]\d{8}(?:\d{3})?(?:\.\d+)?(?![0-9A-Za-z])"
    + r"|0x[0-9a-fA-F]+"
    + r"|(?=[a-f]{0,20}[0-9])(?=[0-9]{0,20}[a-f])[0-9a-f]{7,64}(?![0-9A-Za-z])"
    + r"|(?:req|msg|toolu|call|run|job|task|id)_[A-Za-z0-9]{6,}"
    + r"|\d+(?:\.\d+)?(?:ns|us|µs|ms|s|secs?|mins?|h|m)(?![0-9A-Za-z])"
    + rf"|(?i:{_COUNTED})[\"']?[:=#-]?[\"']?\d+"
    + r")"
)
_DIGIT: Final = re.compile("[0-9]")
_NUMBER: Final = re.compile(r"[(\[#]?\d+(?:[.,]\d+)?[.,:;)\]/]*")
#: a number before these lasted, a number behind those counts
_UNITS: Final = frozenset(
    "ns us µs ms s sec secs second seconds min mins minute minutes h hour hours".split()
)
_COUNTERS: Final = frozenset(_COUNTED.split("|"))
_IN_ARGUMENTS: Final = re.compile(_INSTANT.encode())
_WORD: Final = re.compile(r"\w+")

_WAITING_NAME: Final = re.compile(
    r"(?i)(?:^|[_.-])(?:sleep|wait|poll|backoff|await)|sleep$|wait$|poll$"
    r"|^(?:TaskOutput|BashOutput|AgentOutputTool)$"
)
_WAITING_COMMAND: Final = re.compile(
    rb"\bsleep +[\d$.]|(?:^|[;&|\"] *)wait\b|\bgh run watch\b|\bkubectl (?:wait|rollout status)\b"
    rb"|--(?:watch|wait|follow)\b|\btail +-[fF]\b|\bStart-Sleep\b"
)
_CHANGING_NAME: Final = re.compile(
    r"(?i)edit|write|create|update|delete|remove|insert|add|set_|send|book|cancel|modify|replace"
    r"|submit|apply|patch|move|rename|commit|push|save|post_|put_|todo|exchange|return_|transfer"
)
_CHANGING_COMMAND: Final = re.compile(
    rb"[^2&]>|sed +-[a-zA-Z]*i|\b(?:rm|mv|cp|mkdir|touch|tee|chmod|ln|kill|patch|install|uninstall"
    rb"|add|commit|push|pull|checkout|reset|stash|merge|rebase|restore|apply|restart|start|stop"
    rb"|create|delete|update|deploy|build|fmt|format|migrate|make|write)\b|--fix\b"
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
        self.changes = False
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
    tool = use.string("name") or ""
    arguments = use.get("input") or b"{}"
    content = b'""' if result is None else result.get("content") or b'""'
    call = CallView(tool, use.address, _arguments_key(tool, arguments, key), content)
    call.key = key
    call.is_error = result is not None and result.get("is_error") == b"true"
    has_command = b'"command"' in arguments
    is_readable = has_command and len(arguments) <= _SHORT_COMMAND
    call.waits = (
        tool in poll_tools
        or _WAITING_NAME.search(tool) is not None
        or (is_readable and _WAITING_COMMAND.search(arguments) is not None)
    )
    call.changes = (
        len(arguments) > _SHORT
        or _CHANGING_NAME.search(tool) is not None
        or (has_command and not is_readable)
        or (is_readable and _CHANGING_COMMAND.search(arguments) is not None)
    )
    return call


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
    return one.result_key == other.result_key


def is_near(one: CallView, other: CallView) -> bool:
    """Results of the same tool that differ in a few words only?"""
    if one.tool != other.tool or one.says_little or not _is_length_like(one, other):
        return False
    if abs(one.sketch[2] - other.sketch[2]) > 1:
        return False
    if _agreeing(one.content, other.content) < _COULD_BE_NEAR:
        return False
    return (one.fingerprint ^ other.fingerprint).bit_count() <= NEAR_BITS


def normalise(text: str) -> str:
    """Without what changes by itself, and white space as one space."""
    words: list[str] = []
    is_number = False
    for word in text.split():
        if word.isalpha() or _DIGIT.search(word) is None:
            if is_number and word.rstrip(".,;:)") in _UNITS:
                words[-1] = "#"
            words.append(word)
            is_number = False
            continue
        is_number = _NUMBER.fullmatch(word) is not None
        if is_number and words and words[-1].lower().strip("#:=(") in _COUNTERS:
            words.append("#")
        else:
            words.append(_VOLATILE.sub("#", word))
    return " ".join(words)


def simhash(text: str, *, key: bytes = b"") -> int:
    """64 bits of which near texts differ in few: the majority of their words' digests."""
    words = set(_WORD.findall(text)[:_MOST_WORDS]) or {text}
    planes: list[int] = []  # 64 counters side by side, the lowest bit of each first
    for word in words:
        carry = int.from_bytes(blake2b(word.encode(), digest_size=8, key=key).digest(), "big")
        for place, plane in enumerate(planes):
            planes[place], carry = plane ^ carry, plane & carry
        if carry:
            planes.append(carry)
    return _above(planes, len(words) // 2)


def _above(planes: list[int], bound: int) -> int:
    """The bits whose counters are above ``bound``."""
    above, equal = 0, (1 << 64) - 1
    for place in reversed(range(len(planes))):
        if bound >> place & 1:
            equal &= planes[place]
        else:
            above |= equal & planes[place]
            equal &= ~planes[place]
    return above


def _sketch(tool: str, content: bytes) -> tuple[str, int, int, int]:
    return (tool, content.count(b"("), content.count(b"\\n"), content.count(b"="))


def _is_length_like(one: CallView, other: CallView) -> bool:
    longer = max(len(one.content), len(other.content))
    return abs(len(one.content) - len(other.content)) <= _SLACK_BYTES + longer // 20


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
        if raw.count(b"-") > 1:
            raw = _IN_ARGUMENTS.sub(b"#", raw)
    name = tool.encode("utf-8", "surrogatepass")
    return blake2b(b"%b\0%b" % (name, raw), digest_size=16, key=key).digest()


def _canonical(raw: bytes) -> bytes:
    """Keys in their order; what cannot be read is compared as it is spelled."""
    try:
        return _encode(_decode(raw))
    except (msgspec.MsgspecError, RecursionError):
        return raw


def _text(content: bytes) -> str:
    """A result's JSON with its lines broken: escapes of both sides are alike, so they may stay."""
    return content.decode("utf-8", "replace").replace("\\n", "\n").replace("\\t", "\t")
