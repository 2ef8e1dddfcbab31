"""What could not be read, counted by cause: bad input is reported, never fatal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

__all__ = ["CAUSES", "Problem", "Problems"]

#: cause -> what it means to the person who reads the report
CAUSES: Final = {
    "missing": "path does not exist",
    "unreadable": "file cannot be opened or read",
    "cut": "compressed file ends early or is damaged; what came before was read",
    "foreign_file": "file in no format we know",
    "version": "trace of a newer format version; not read",
    "malformed": "line is not JSON (cut off, or binary)",
    "glued": "two records on one line; both were read",
    "oversized": "line is too long to hold in memory; skipped",
    "unknown_record": "record of a type we do not know; skipped",
    "foreign_record": "record does not have the fields its format promises; skipped",
    "no_usage": "call without a usage object; counted, its tokens are unknown",
    "bad_usage": "call whose usage cannot be read; counted, its tokens are unknown",
}

_EXAMPLES: Final = 3


@dataclass(slots=True)
class Problem:
    """How often one thing went wrong, and where it was first seen."""

    count: int = 0
    examples: list[str] = field(default_factory=list)


class Problems:
    """A running count by cause; its size does not grow with the input."""

    def __init__(self) -> None:
        self.by_cause: dict[str, Problem] = {}

    def note(self, cause: str, where: str) -> None:
        """Count one; keep the first few places as examples."""
        assert cause in CAUSES, cause
        problem = self.by_cause.setdefault(cause, Problem())
        problem.count += 1
        if len(problem.examples) < _EXAMPLES and where not in problem.examples:
            problem.examples.append(where)

    def count(self, cause: str) -> int:
        """How often ``cause`` was seen."""
        return self.by_cause[cause].count if cause in self.by_cause else 0
