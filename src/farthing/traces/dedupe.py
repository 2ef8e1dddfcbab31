"""One bill per call: which answers were already counted, over all files of a run.

Forks, resumes and side chains copy lines of a parent into new files, sometimes under a new request
id; the message id is what stays (API facts, section 9.2, pitfalls 1 to 3).

What grows: one 64-bit key and one count per call, about 120 bytes. A two-gigabyte folder of
transcripts holds some hundred thousand calls, so some ten megabytes.
"""

from __future__ import annotations

import hashlib

__all__ = ["SeenCalls"]


class SeenCalls:
    """Remembers each answer's id and the most output tokens any copy of it reported."""

    def __init__(self) -> None:
        self._output_tokens: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._output_tokens)

    def admit(self, key: str, output_tokens: int) -> int | None:
        """None: new, bill it. Else a copy: how many output tokens it knows beyond all before it."""
        digest = _digest(key)
        known = self._output_tokens.get(digest)
        if known is None or output_tokens > known:
            self._output_tokens[digest] = output_tokens
        return None if known is None else max(0, output_tokens - known)

    def knows(self, key: str) -> bool:
        """Was this answer admitted before."""
        return _digest(key) in self._output_tokens


def _digest(key: str) -> int:
    raw = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(raw, "big")
