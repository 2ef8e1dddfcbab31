"""Who works below whom, and how fast a tree of tasks grows; counted in this process.

Theory of operation. A task is known by its first call. Depth is its parent's and one; what is below
the root, at any depth, is a child of the tree. What limits growth refuses what would grow: a task
that runs is never held against the width of its tree, one that would be new is, and a new one that
was refused is not counted. ``asked`` says how the tree would stand with this call, ``count`` makes
it so.

Rules of this file: memory is bounded in trees and in tasks per tree, the least recently used goes
first; a process that starts anew counts anew, except for turns, which the history shows as well.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

from farthing.core.loop_limits import TreeFacts
from farthing.core.records import Attribution

__all__ = ["TaskTrees"]

_MINUTE_NS: Final = 60 * 10**9
#: begun within a minute: more than this is beyond every limit that makes sense
_MOST_RECENT: Final = 4_096


@dataclass(slots=True)
class _Task:
    depth: int
    turns: int = 0


@dataclass(slots=True)
class _Tree:
    tasks: OrderedDict[str, _Task] = field(default_factory=OrderedDict)
    #: tasks below the root, those that are forgotten included
    children: int = 0
    #: when the latest of them began
    begun_ns: deque[int] = field(default_factory=lambda: deque(maxlen=_MOST_RECENT))


class TaskTrees:
    """At most ``capacity`` trees of as many tasks each."""

    __slots__ = ("_capacity", "_trees")

    def __init__(self, *, capacity: int = 4_096) -> None:
        self._capacity = capacity
        self._trees: OrderedDict[tuple[str, str], _Tree] = OrderedDict()

    def __len__(self) -> int:
        return len(self._trees)

    def asked(self, who: Attribution, now_ns: int, *, shown_turns: int = 0) -> TreeFacts:
        """How things stand with this call; ``shown_turns``: answers that its history holds."""
        tree = self._trees.get(_key(who))
        task = None if tree is None else tree.tasks.get(who.task_id)
        if task is not None:
            return TreeFacts(depth=task.depth, turns=max(task.turns, shown_turns) + 1)
        turns = shown_turns + 1
        if _is_root(who):
            return TreeFacts(turns=turns)
        if tree is None:
            return TreeFacts(depth=1, children=1, children_last_minute=1, turns=turns)
        return TreeFacts(
            depth=_depth(tree, who),
            children=tree.children + 1,
            children_last_minute=1 + sum(now_ns - at < _MINUTE_NS for at in tree.begun_ns),
            turns=turns,
        )

    def count(self, who: Attribution, now_ns: int) -> None:
        """This call is made."""
        key = _key(who)
        tree = self._trees.get(key)
        if tree is None:
            tree = self._trees[key] = _Tree()
            if len(self._trees) > self._capacity:
                self._trees.popitem(last=False)
        else:
            self._trees.move_to_end(key)
        task = tree.tasks.get(who.task_id)
        if task is None:
            is_root = _is_root(who)
            task = _Task(0 if is_root else _depth(tree, who))
            if not is_root:
                tree.children += 1
                tree.begun_ns.append(now_ns)
            tree.tasks[who.task_id] = task
            if len(tree.tasks) > self._capacity:
                tree.tasks.popitem(last=False)
        else:
            tree.tasks.move_to_end(who.task_id)
        task.turns += 1


def _key(who: Attribution) -> tuple[str, str]:
    """Names are the client's choice, so a tree is one key's."""
    return who.key_scope, who.root_task_id


def _is_root(who: Attribution) -> bool:
    return who.task_id == who.root_task_id


def _depth(tree: _Tree, who: Attribution) -> int:
    parent = tree.tasks.get(who.parent_task_id or who.root_task_id)
    return 1 if parent is None else parent.depth + 1
