"""Tokens per counted thing, for each generation of tokenizer, with what each number rests on.

``old`` is measured: fitted on provider usage (see ``estimate_fitted``, written by
``scripts/fit_estimator.py``). ``new`` (Opus 4.7 and later) is *derived*: the traces hold no such
model, so its weights are the old ones times factors that reproduce the published ratios, and online
correction does the rest. Everything here that no fit supports is marked as an assumption.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

from farthing.core import estimate_fitted as fitted
from farthing.core.estimate_text import CLASSES, Counts

__all__ = [
    "SIZE_STEPS",
    "STRUCTURES",
    "WEIGHTS",
    "Structure",
    "Tokenizer",
    "Weights",
    "old_weights",
]

Tokenizer = Literal["old", "new"]

#: what a block's JSON adds around its text
Structure = Literal[
    "assistant_text",
    "user_text",
    "system_text",
    "thinking",
    "tool_use",
    "argument",
    "tool_result",
    "tool_error",
    "tool",
]

STRUCTURES: Final[tuple[Structure, ...]] = get_args(Structure)

#: margins of the 95 % quantile are kept per size of the estimate, split here (tokens)
SIZE_STEPS: Final = (250.0, 600.0, 1_500.0, 5_000.0)

# Assumptions for scripts that coding traces hardly contain, tokens per character of the old
# tokenizer: about half for two-byte alphabets, one for CJK, more for emoji.
_SCRIPTS: Final = {"two_byte": 0.45, "three_byte": 1.05, "four_byte": 2.5}

# A tool definition is its JSON plus a frame: 10 (opus 4.6) to 27 (sonnet 4.5) tokens in the
# first calls of the tau2 traces, where the whole request is visible.
_TOOL_FRAME: Final = 18.0

# A call and its result always grow a prompt together, so only the sum of their frames can be
# measured; how it is shared is an assumption.
_RESULT_SHARE: Final = 0.4

# The new tokenizer, per class. Published ratios new : old (API facts 1.5, 2026-11): English 1.45,
# Python 1.20, TypeScript 1.13, UUIDs 1.06, CJK 1.00, agent traffic 1.3. Letters carry the growth.
_NEW_LETTERS: Final = 1.5
_NEW_DIGITS: Final = 1.0
_NEW_LAYOUT: Final = 1.1
_NEW_SCRIPTS: Final = 1.0
_NEW_FACTORS: Final = {
    **dict.fromkeys(("lower", "upper", "camel", "word"), _NEW_LETTERS),
    **dict.fromkeys(("digit", "digit_run"), _NEW_DIGITS),
    **dict.fromkeys(("space_run", "newline", "tab", "punct", "punct_run"), _NEW_LAYOUT),
    **dict.fromkeys(("symbol", "two_byte", "three_byte", "four_byte"), _NEW_SCRIPTS),
}
#: an unmeasured generation starts with no smaller margin than this
_NEW_MARGIN: Final = 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """One generation of tokenizer."""

    #: tokens per counted class, in the order of ``CLASSES``
    classes: tuple[float, ...]
    structures: Mapping[Structure, float]
    #: tokens per byte of text that is present only encrypted (thinking behind its signature)
    opaque_byte: float
    #: initial relative margins of the 95 % quantile, one more than ``SIZE_STEPS``
    margins: tuple[float, ...]
    #: how far the factors of a new model may lie from 1 (variance)
    factor_variance: float

    def weigh(self, counts: Counts) -> float:
        """Tokens of a text with these counts."""
        return sum(map(float.__mul__, self.classes, map(float, counts)))


def old_weights(
    classes: Mapping[str, float],
    structures: Mapping[str, float],
    *,
    opaque_byte: float,
    margins: tuple[float, ...],
) -> Weights:
    """The old generation from fitted numbers (``tool_use``: a call with its result), completed."""
    frames = structures["tool_use"]
    known = {
        **structures,
        "system_text": structures["user_text"],
        "tool": _TOOL_FRAME,
        "tool_use": frames * (1 - _RESULT_SHARE),
        "tool_result": frames * _RESULT_SHARE,
    }
    return Weights(
        classes=tuple((_SCRIPTS | dict(classes))[name] for name in CLASSES),
        structures={name: known[name] for name in STRUCTURES},
        opaque_byte=opaque_byte,
        margins=margins,
        factor_variance=0.02,
    )


def _new_weights(old: Weights) -> Weights:
    return Weights(
        classes=tuple(
            weight * _NEW_FACTORS[name] for name, weight in zip(CLASSES, old.classes, strict=True)
        ),
        structures=old.structures,
        opaque_byte=old.opaque_byte * _NEW_LETTERS,
        margins=tuple(max(margin, _NEW_MARGIN) for margin in old.margins),
        factor_variance=0.06,
    )


_OLD: Final = old_weights(
    fitted.CLASSES,
    fitted.STRUCTURES,
    opaque_byte=fitted.OPAQUE_BYTE,
    margins=fitted.MARGINS,
)

WEIGHTS: Final[Mapping[Tokenizer, Weights]] = {"old": _OLD, "new": _new_weights(_OLD)}
