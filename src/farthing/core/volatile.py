r"""Detectors of text that changes from call to call: classes and places, never the text itself.

Theory of operation. A prompt cache is broken most often by one short value near the top: the time,
a request id, a counter, the name of whoever is logged in. Such values have shapes. The detectors
work on bytes of one line and say which class fits and where; they are ordered, the surest first,
and a byte that one has claimed is not claimed again. A detector that fires proves nothing: a text
may quote a date that never changes. So they only *name* what a diff has found to differ, or what an
operator has asked to have moved.

Interface: ``detect(line)`` → ``Detection`` per place; ``classify(before, now)`` → the class of a
differing span; ``VOLATILE`` are the classes that a line may be moved for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["VOLATILE", "Detection", "Detector", "classify", "detect"]

Detector = Literal["timestamp", "date", "uuid", "user_field", "hex_id", "counter", "other"]

_MONTH: Final = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}\.?"
_CLOCK: Final = rb"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?:\s?[AaPp]\.?[Mm]\.?)?"
_ISO_DAY: Final = rb"(?:19|20)\d{2}[-/]\d{2}[-/]\d{2}"

_PATTERNS: Final[tuple[tuple[Detector, re.Pattern[bytes]], ...]] = (
    (
        "uuid",
        re.compile(rb"(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"),
    ),
    (
        "timestamp",
        re.compile(
            _ISO_DAY
            + rb"[T ]"
            + _CLOCK
            + rb"(?:Z|[+-]\d{2}:?\d{2})?"
            + rb"|\b"
            + _CLOCK
            + rb"\b|\b1[5-9]\d{8}(?:\d{3})?\b"  # seconds or milliseconds since 1970, 2017 to 2033
        ),
    ),
    (
        "date",
        re.compile(
            rb"\b" + _ISO_DAY + rb"\b"
            rb"|\b" + _MONTH + rb"\s+\d{1,2}(?:st|nd|rd|th)?,?\s+(?:19|20)\d{2}\b"
            rb"|\b\d{1,2}\.?\s+" + _MONTH + rb"\s+(?:19|20)\d{2}\b"
            rb"|\b\d{1,2}/\d{1,2}/(?:19|20)\d{2}\b"
        ),
    ),
    (
        "user_field",
        re.compile(
            rb"(?i)\b(?:user(?:[ _-]?(?:name|id|email))?|e-?mail|account(?:[ _-]?id)?|tenant|"
            rb"customer(?:[ _-]?id)?|logged in as|session(?:[ _-]?id)?|request(?:[ _-]?id)?|"
            rb"trace(?:[ _-]?id)?)\b\s*(?:[:=]|\bis\b)\s*(?P<value>\S[^\n,;]{0,100})"
            rb"|(?P<mail>[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,})"
        ),
    ),
    ("hex_id", re.compile(rb"(?i)\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{12,64}\b")),
    (
        "counter",
        re.compile(
            rb"(?i)(?:\b(?:turn|step|request|message|iteration|attempt|count|counter|seq|sequence|run|"
            rb"call|remaining|used|left|no)\b|#)[.#]?\s*(?:number)?\s*(?:[:=]|\bis\b)?\s*"
            rb"(?P<value>\d{1,9})\b"
        ),
    ),
)

#: the classes for which a line may be moved: what a number or a mere hexadecimal word is, is open
VOLATILE: Final[frozenset[Detector]] = frozenset({"timestamp", "date", "uuid", "user_field"})

_NUMBER: Final = re.compile(rb"\d{1,15}")
_WORD: Final = re.compile(rb"[^\s\"\\]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """Something that looks volatile: its class, and where it lies in the line."""

    detector: Detector
    start: int
    end: int


def detect(line: bytes) -> tuple[Detection, ...]:
    """All places of a line that look volatile, in their order; no two overlap."""
    found: list[Detection] = []
    for detector, pattern in _PATTERNS:
        for match in pattern.finditer(line):
            start, end = _place(match)
            if all(end <= one.start or start >= one.end for one in found):
                found.append(Detection(detector=detector, start=start, end=end))
    return tuple(sorted(found, key=lambda one: one.start))


def _place(match: re.Match[bytes]) -> tuple[int, int]:
    named = [match.span(name) for name, value in match.groupdict().items() if value is not None]
    return named[0] if named else match.span()


def classify(before: bytes, now: bytes, span: tuple[int, int]) -> Detector:
    """What kind of value differs: ``span`` is where ``now`` departs from ``before`` and rejoins.

    Both sides must look alike where they differ; else it is an edit, not a volatile value.
    """
    start, end = span
    other_end = len(before) - (len(now) - end)
    classes = [
        [one for one in detect(text) if one.start <= start and one.end >= stop]
        for text, stop in ((before, other_end), (now, end))
    ]
    common = {one.detector for one in classes[0]} & {one.detector for one in classes[1]}
    if common:
        return next(one.detector for one in classes[1] if one.detector in common)
    words = [_word(text, start, stop) for text, stop in ((before, other_end), (now, end))]
    return "counter" if all(_NUMBER.fullmatch(word) for word in words) else "other"


def _word(text: bytes, start: int, end: int) -> bytes:
    """The word around a span."""
    while start and _WORD.fullmatch(text[start - 1 : start]):
        start -= 1
    tail = _WORD.match(text, end)
    assert tail is not None  # the pattern matches the empty string
    return text[start : tail.end()]
