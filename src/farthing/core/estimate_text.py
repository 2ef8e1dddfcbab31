"""Counts the character classes of a text, the quantities that predict its number of tokens.

Theory of operation
-------------------
No tokenizer of these models is public. A byte-pair tokenizer cuts text where the kind of character
changes and inside long or unusual runs, so the number of *runs* of letters, digits and punctuation
predicts tokens far better than the number of bytes, and needs no vocabulary file.

Counting runs byte by byte in Python is slow. Here every byte is translated once into a byte with
one bit per class, and the whole text is read as one big integer: a run starts where a class bit is
set and the byte before it lacks it, which is one shift, one ``and not``, one population count for
the whole text, all in C.

Rule of this file: it knows classes of characters, nothing of blocks, models or weights.
"""

from __future__ import annotations

import string
from collections.abc import Iterable
from typing import Final

__all__ = ["CLASSES", "Counts", "count_classes"]

#: what is counted, in the order of a ``Counts`` tuple
CLASSES: Final = (
    "lower",  # lower-case letters
    "upper",  # upper-case letters
    "camel",  # a capital straight after a lower-case letter
    "word",  # runs of letters
    "digit",
    "digit_run",
    "space_run",  # two spaces or more: indentation, aligned columns
    "newline",
    "tab",
    "punct",  # ASCII punctuation and control characters
    "punct_run",
    "symbol",  # · → – “ ” ✓ │ and the like: U+0080–00BF, U+2000–2FFF
    "two_byte",  # accented Latin, Greek, Cyrillic, Hebrew, Arabic: U+00C0–07FF
    "three_byte",  # the other scripts of the basic plane: CJK, Hangul, Kana, Indic, Thai
    "four_byte",  # emoji and the rest
)

Counts = tuple[int, ...]

_LOWER, _UPPER, _DIGIT, _PUNCT, _SPACE, _NEWLINE, _TAB = (1 << bit for bit in range(7))


def _class_table() -> bytes:
    table = bytearray([_PUNCT]) * 128 + bytearray(128)
    for alphabet, bit in (
        (string.ascii_lowercase, _LOWER),
        (string.ascii_uppercase, _UPPER),
        (string.digits, _DIGIT),
        (" ", _SPACE),
        ("\n", _NEWLINE),
        ("\t", _TAB),
        ("\r", 0),
    ):
        for letter in alphabet.encode():
            table[letter] = bit
    return bytes(table)


_CLASS_TABLE: Final = _class_table()


def _without(kept: Iterable[int]) -> bytes:
    """All byte values but those: what ``bytes.translate`` deletes to count the rest."""
    return bytes(set(range(256)).difference(kept))


# The lead byte of a UTF-8 sequence tells the script well enough; continuation bytes say nothing.
_OTHER_THAN_SYMBOL: Final = _without([0xC2, 0xE2])
_OTHER_THAN_TWO_BYTE: Final = _without(range(0xC3, 0xE0))
_OTHER_THAN_THREE_BYTE: Final = _without([0xE0, 0xE1, *range(0xE3, 0xF0)])
_OTHER_THAN_FOUR_BYTE: Final = _without(range(0xF0, 0xF8))


def count_classes(text: bytes) -> Counts:
    """The counts of one UTF-8 text, in the order of ``CLASSES``."""
    marks = text.translate(_CLASS_TABLE)
    every = int.from_bytes(b"\x01" * len(marks), "big")
    here = int.from_bytes(marks, "big")
    before = here >> 8
    starts = here & ~before
    letters = (here | here >> 1) & every
    return (
        marks.count(_LOWER),
        marks.count(_UPPER),
        (here >> 1 & before & every).bit_count(),
        (letters & ~(letters >> 8)).bit_count(),
        marks.count(_DIGIT),
        (starts >> 2 & every).bit_count(),
        ((starts >> 8 & here) >> 4 & every).bit_count(),
        marks.count(_NEWLINE),
        marks.count(_TAB),
        marks.count(_PUNCT),
        (starts >> 3 & every).bit_count(),
        *_count_scripts(text),
    )


def _count_scripts(text: bytes) -> tuple[int, int, int, int]:
    """Characters beyond ASCII by the length and range of their UTF-8 form."""
    if text.isascii():
        return (0, 0, 0, 0)
    return (
        len(text.translate(None, _OTHER_THAN_SYMBOL)),
        len(text.translate(None, _OTHER_THAN_TWO_BYTE)),
        len(text.translate(None, _OTHER_THAN_THREE_BYTE)),
        len(text.translate(None, _OTHER_THAN_FOUR_BYTE)),
    )
