"""Weights of the old tokenizer. Fitted by `scripts/fit_estimator.py`; do not edit.

Fitted on 8,971 calls of 163 sessions of the claude-code-main traces (opus
4.5 and 4.6, sonnet 4.5); the sessions kept out are those that the benchmark judges by.
"""

from __future__ import annotations

from typing import Final

__all__ = ["CLASSES", "MARGINS", "OPAQUE_BYTE", "STRUCTURES"]

CLASSES: Final = {
    "lower": 0.0632,
    "upper": 0.0971,
    "camel": 1.3728,
    "word": 0.7779,
    "digit": 0.0845,
    "digit_run": 1.3864,
    "space_run": 1.5843,
    "newline": 0.7738,
    "tab": 0.3607,
    "punct": 0.2547,
    "punct_run": 0.8270,
    "symbol": 0.0924,
}

STRUCTURES: Final = {
    "assistant_text": 2.2160,
    "user_text": 3.6522,
    "thinking": 13.9931,
    "tool_use": 50.1425,
    "argument": 12.2829,
    "tool_error": 5.2810,
}

OPAQUE_BYTE: Final = 0.2586

MARGINS: Final = (1.458, 0.472, 0.251, 0.312, 0.033)
