"""What each task cost, alone and with the tasks below it: the sums behind every report per task.

Theory of operation. One pass over the exchanges that were asked for groups them by task; in a file
that is SQL, so a hundred thousand rows cost under a second and none becomes a value. Then the tree
is put together in memory: a task's ``tree`` is its own sums and those of all tasks below it. A task
that made no call itself is there as soon as a task below it did; what is known of it comes from its
outcome.

Rules of this file: ``own`` adds up to the bill, ``tree`` does not (an exchange is in the tree of
each task above it); an unknown price is counted (``unpriced``), never zero dollars. Exchanges are
chosen by ``RowFilter``: a task that began before ``opened_from`` is counted with the exchanges
from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from farthing.core.records import Outcome, RowFilter, TaskOutcome
from farthing.ledger.memory import MemoryLedger
from farthing.ledger.sqlite import SqliteLedger
from farthing.ledger.task_sums import OwnTask, TaskSums, own_tasks, select_outcome, select_tasks

__all__ = ["TaskSums", "TaskTotals", "task_totals"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTotals:
    """One task: who it is, how it ended, what it and the tasks below it took."""

    task_id: str
    #: as said with its first exchange that says one, else with its outcome
    task_type: str | None
    parent_task_id: str | None
    root_task_id: str
    #: None: nobody said
    outcome: TaskOutcome | None
    score: float | None
    #: of its own exchanges
    own: TaskSums
    #: of these and of all tasks below
    tree: TaskSums

    @property
    def began_at(self) -> datetime | None:
        """When the first exchange of its tree was opened."""
        return self.tree.first_at


def task_totals(
    source: MemoryLedger | SqliteLedger | Path,
    where: RowFilter = RowFilter(),  # noqa: B008 -- frozen
) -> Iterator[TaskTotals]:
    """The tasks of the exchanges that fit, in the order in which they began.

    ``source`` is a ledger of this process (whatever waits is written first) or the file of one
    that any process has open.
    """
    if isinstance(source, MemoryLedger):
        yield from _assembled(own_tasks(source.rows(where)), source.outcome_of)
        return
    if isinstance(source, SqliteLedger):
        source.flush()
        source = source.path
    with select_outcome(source) as outcome_of:
        yield from _assembled(select_tasks(source, where), outcome_of)


@dataclass(slots=True)
class _Node:
    task: OwnTask
    tree: TaskSums
    parent: str | None = None


def _assembled(
    tasks: Iterable[OwnTask], outcome_of: Callable[[str], Outcome | None]
) -> Iterator[TaskTotals]:
    # By name, so that contradictory parents give the same tree in every ledger.
    known = sorted(tasks, key=lambda task: task.task_id)
    nodes = {task.task_id: _Node(task, task.sums) for task in known}
    for node in list(nodes.values()):
        _hang_up(node, nodes, outcome_of)
    for node in list(nodes.values()):
        for above in _above(node, nodes):
            above.tree += node.task.sums
    found = sorted(nodes.values(), key=lambda node: (_began(node), node.task.task_id))
    for node in found:
        yield _totals(node, nodes)


def _hang_up(
    node: _Node, nodes: dict[str, _Node], outcome_of: Callable[[str], Outcome | None]
) -> None:
    """Give a task its parent, and the parent its own, as far as anything is known of them."""
    while True:
        task = node.task
        parent = task.parent_task_id
        if parent is None and task.root_task_id != task.task_id:
            parent = task.root_task_id
        if parent is None or parent == task.task_id:
            return
        node.parent = parent
        if parent in nodes:
            return
        said = outcome_of(parent)
        root = task.root_task_id if parent != task.root_task_id else parent
        above = OwnTask(
            task_id=parent,
            task_type=said.task_type if said else None,
            parent_task_id=said.parent_task_id if said else None,
            root_task_id=root,
            outcome=said,
            sums=TaskSums(),
        )
        node = nodes[parent] = _Node(above, TaskSums())


def _above(node: _Node, nodes: dict[str, _Node]) -> Iterator[_Node]:
    """Every task above this one, once; names can be given in a circle."""
    seen = {node.task.task_id}
    parent = node.parent
    while parent is not None and parent not in seen:
        seen.add(parent)
        yield nodes[parent]
        parent = nodes[parent].parent


def _began(node: _Node) -> datetime:
    first = node.tree.first_at
    assert first is not None, "a task is here because an exchange of its tree is"
    return first


def _totals(node: _Node, nodes: dict[str, _Node]) -> TaskTotals:
    task = node.task
    *_, top = (node, *_above(node, nodes))
    said = task.outcome
    return TaskTotals(
        task_id=task.task_id,
        task_type=task.task_type or (said.task_type if said else None),
        parent_task_id=node.parent,
        root_task_id=top.task.task_id,
        outcome=said.outcome if said else None,
        score=said.score if said else None,
        own=task.sums,
        tree=node.tree,
    )
