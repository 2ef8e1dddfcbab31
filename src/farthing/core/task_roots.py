"""Which root a task counts on, remembered for those who name only their parent.

Theory of operation. A call says its task and perhaps its parent; only few say their root. So what
is below a root is remembered: a task under its key's scope, with the root that its call counted
on. A call that names its parent alone counts on the parent's root, and where the parent is not
known to be below anything, on the parent. A call that says its root itself is believed; later calls
of that task under the same parent need not say it again.

Rules of this file: names are a client's choice, so they mean something within one key's scope
alone. Memory is bounded; who was not heard of for longest is forgotten first, and asking for a
parent is hearing of it. A call that is its own root and names no parent never comes here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import msgspec

from farthing.core.records import Attribution

__all__ = ["MOST_ROOTS", "TaskRoots"]

#: tasks that are remembered: some 200 bytes each, beside the names
MOST_ROOTS: Final = 10_000

_Task = tuple[str, str]


class TaskRoots:
    """The roots of at most ``capacity`` tasks that are below one."""

    __slots__ = ("_capacity", "_found")

    def __init__(self, *, capacity: int = MOST_ROOTS) -> None:
        self._capacity = capacity
        #: scope and task → its root; and the parent beside which it said that root itself
        self._found: OrderedDict[_Task, tuple[str, str | None]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._found)

    def learn(self, tasks: Iterable[tuple[str, str, str]]) -> None:
        """What an earlier process knew: scope, task and root of each, the latest last."""
        for scope, task, root in tasks:
            self._keep((scope, task), root, None)

    def settled(self, who: Attribution, *, says_root: bool) -> Attribution:
        """The same call with the root that it counts on, which is remembered."""
        scope, task, parent = who.key_scope, (who.key_scope, who.task_id), who.parent_task_id
        if says_root or parent is None:
            self._keep(task, who.root_task_id, parent)
            return who
        root, said_beside = self._found.get(task, (parent, None))
        if said_beside != parent:
            root, said_beside = self._root_of((scope, parent)), None
        self._keep(task, root, said_beside)
        return who if root == who.root_task_id else msgspec.structs.replace(who, root_task_id=root)

    def _root_of(self, task: _Task) -> str:
        found = self._found.get(task)
        if found is None:
            return task[1]
        self._found.move_to_end(task)
        return found[0]

    def _keep(self, task: _Task, root: str, said_beside: str | None) -> None:
        self._found[task] = root, said_beside
        self._found.move_to_end(task)
        if len(self._found) > self._capacity:
            self._found.popitem(last=False)
