"""The roots of tasks on record, for a process that starts.

Only the newest rows are looked at, by the index of their openings: the cost of a start does not
grow with the ledger.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Final

from farthing.core.task_roots import MOST_ROOTS
from farthing.ledger.database import open_reader
from farthing.ledger.faults import translated

__all__ = ["select_roots"]

_SELECT: Final = (
    "SELECT key_scope, task_id, root_task_id FROM (SELECT opened_at, exchange_id, key_scope,"
    " task_id, root_task_id FROM exchanges ORDER BY opened_at DESC LIMIT ?)"
    " WHERE root_task_id <> task_id ORDER BY opened_at, exchange_id"
)


def select_roots(path: Path) -> list[tuple[str, str, str]]:
    """Key scope, task and root of the newest calls below another task, the latest last."""
    with closing(open_reader(path)) as reader, translated(path):
        return [tuple(row) for row in reader.execute(_SELECT, (MOST_ROOTS,))]
