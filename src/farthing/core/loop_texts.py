"""Texts of results: what changes by itself is taken out, and how alike two of them are.

Theory of operation
-------------------
A text is its words, what stands between white space. Taken out are timestamps, uuids, durations,
process ids, hexadecimal ids and counters that are named as such; plain numbers stay, since
``11 failed`` after ``12 failed`` is progress. What becomes of a word depends on it and on its two
neighbours only (``pid 17``, ``17 seconds``) and each word stays one word. So whether two texts part
is asked where their words do, from the beginning on: most are told apart at the first such place,
and nothing else of them is normalised or even read.

SimHash (64 bits, over the set of words) says how near two texts are; it never makes them equal.
Interface: ``normalise``, ``differ_early``, ``simhash``.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final

__all__ = ["differ_early", "normalise", "simhash"]

#: differing words that are looked at where all were the same but for what changes by itself
_MOST_PLACES: Final = 16
#: the last word may be cut, the one before it is read with it, and so on
_NOT_JUDGED: Final = 3
#: words that a SimHash is made of, at most
_MOST_WORDS: Final = 600

#: an instant as ISO 8601 writes it, or a uuid
_INSTANT: Final = (
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?"
    r"|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
)
_COUNTED: Final = (
    "pid|process|attempt|try|retry|retries|iteration|iter|request|seq|sequence|poll|counter"
    "|call|run"
)
#: what is volatile inside one word
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
#: shorter numbers hold no instant (seconds since 1970 have ten digits)
_SHORT_NUMBER: Final = 10
#: a number before these lasted, a number behind those counts
_UNITS: Final = frozenset(
    "ns us µs ms s sec secs second seconds min mins minute minutes h hour hours".split()
)
_COUNTERS: Final = frozenset(_COUNTED.split("|"))
_WORD: Final = re.compile(r"\w+")


def normalise(text: str) -> str:
    """Without what changes by itself, and white space as one space."""
    words = text.split()
    normal = words.copy()
    for place, word in enumerate(words):
        if not word.isalpha() and _DIGIT.search(word) is not None:
            normal[place] = _normal(words, place)
    return " ".join(normal)


def differ_early(one: str, other: str) -> bool:
    """Do texts that begin like this differ once they are normalised? Then they part here.

    False says nothing. The last words may be cut, so they are not judged.
    """
    words, others = one.split(), other.split()
    left = _MOST_PLACES
    for place in range(min(len(words), len(others)) - _NOT_JUDGED):
        if words[place] == others[place]:
            continue
        for near in range(max(0, place - 1), place + 2):
            if _normal(words, near) != _normal(others, near):
                return True
        left -= 1
        if not left:
            break
    return False


def _normal(words: list[str], place: int) -> str:
    """What stands for this word; it depends on the words beside it and on no others."""
    word = words[place]
    if _DIGIT.search(word) is None:
        return word
    if _NUMBER.fullmatch(word) is None:
        return _VOLATILE.sub("#", word)
    if place + 1 < len(words) and words[place + 1].rstrip(".,;:)") in _UNITS:
        return "#"
    if place and _is_counter(words[place - 1]):
        return "#"
    return word if len(word) < _SHORT_NUMBER else _VOLATILE.sub("#", word)


def _is_counter(word: str) -> bool:
    """Does this word name what is counted behind it?"""
    if _DIGIT.search(word) is not None:
        word = _VOLATILE.sub("#", word)
    return word.lower().strip("#:=(") in _COUNTERS


def simhash(text: str, *, key: bytes = b"") -> int:
    """64 bits of which near texts differ in few: the majority of their words' digests."""
    words = set(_WORD.findall(text)[:_MOST_WORDS]) or {text}
    keyed = blake2b(digest_size=8, key=key)  # the key is a block of its own: hashed once
    planes: list[int] = []  # 64 counters side by side, the lowest bit of each first
    for word in words:
        hashed = keyed.copy()
        hashed.update(word.encode())
        carry = int.from_bytes(hashed.digest(), "big")
        for place, plane in enumerate(planes):
            planes[place], carry = plane ^ carry, plane & carry
            if not carry:
                break
        else:
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
