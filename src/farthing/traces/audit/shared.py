"""Which conversations send the same system prompt and tools: a prefix one could write for all.

For clients that do not cache. One that does finds another's entries by itself, or pays for a first
call; both are in its usage.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from farthing.traces.audit.counted import CountedCall
from farthing.traces.audit.misses import Expected
from farthing.traces.format import Conversation

__all__ = ["SharedPrefixes"]

#: the prefixes remembered; a stream of calls shares a handful
_KEPT: Final = 1_000


class SharedPrefixes:
    """When each visible prefix was last sent."""

    def __init__(self) -> None:
        self._sent: OrderedDict[tuple[str, int, int], Expected] = OrderedDict()

    def before(
        self, conversation: Conversation, calls: Sequence[CountedCall], prefix_tokens: float
    ) -> Expected | None:
        """What an earlier conversation sent of this one's prefix; this one is remembered."""
        if not calls or prefix_tokens < 1 or conversation.prefix_pad_tokens:
            return None
        system, tools = bytes(conversation.system), bytes(conversation.tools)
        key = calls[0].model, hash(system), hash(tools)
        earlier = self._sent.pop(key, None)
        self._sent[key] = Expected(
            model=calls[0].model, at=calls[-1].at, prompt=int(prefix_tokens), cached=0, ttl="5m"
        )
        if len(self._sent) > _KEPT:
            self._sent.popitem(last=False)
        usage = calls[0].usage
        caches = usage is not None and usage.prompt > usage.uncached
        return None if caches else earlier
