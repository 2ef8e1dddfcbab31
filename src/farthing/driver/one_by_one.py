"""A conversation that several threads may not advance at once.

The exchanges of a process share what their ``Setup`` keeps (failures that may be tried again,
weighed blocks, known batches), in objects of the core that know no locks. A gateway has one event
loop and needs none; a program's threads do. What a lock is held for is a decision, in memory: no
effect is performed under it.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager
from typing import Any

from farthing.core.exchange_effects import Conversation, Effect

__all__ = ["OneByOne"]


class OneByOne(Generator[Effect[Any], Any, None]):
    """``Conversation`` whose every step is taken under a lock."""

    def __init__(self, conversation: Conversation, lock: AbstractContextManager[Any]) -> None:
        self._conversation = conversation
        self._lock = lock

    def send(self, reply: Any, /) -> Effect[Any]:
        """The next effect."""
        with self._lock:
            return self._conversation.send(reply)

    def throw(self, error: Any, *more: Any) -> Effect[Any]:
        """The next effect after something went wrong."""
        with self._lock:
            return self._conversation.throw(error, *more)
