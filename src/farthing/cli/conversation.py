"""A conversation as token counts, and its bill under the plain rules of the prompt cache.

A closed form for the demo: one conversation, one mark on the last block of each request, nothing
else in the cache. The engine's cache model and the emulator are elsewhere and know far more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from farthing.errors import ConfigError
from farthing.pricing import Cost, RateCard, price
from farthing.wire.usage import Usage

__all__ = ["Caching", "Conversation", "Turn", "bill", "parse_conversation", "usages"]

Caching = Literal["none", "5m", "1h"]

#: an entry is alive while it is younger than this, counted from the start of a request
_TTL_SECONDS: Final = {"5m": 300, "1h": 3600}


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One request: when it starts, what it adds to the prompt, what comes back."""

    at: int
    new: int
    output: int
    what: str = ""


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent sends over and over: tools, system prompt, and a growing history."""

    title: str
    about: str
    model: str
    tools: int
    system: int
    turns: tuple[Turn, ...]

    def prompts(self) -> Iterator[tuple[Turn, int]]:
        """Each turn with the size of its whole prompt."""
        history = self.tools + self.system
        for turn in self.turns:
            history += turn.new
            yield turn, history
            history += turn.output


def parse_conversation(data: bytes, *, name: str) -> Conversation:
    """Read a conversation; ``ConfigError`` says what is missing or wrong."""
    try:
        found = msgspec.json.decode(data, type=Conversation)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name} is not a conversation for this demo: {error}") from error
    counts = [found.tools, found.system, *(n for t in found.turns for n in (t.new, t.output))]
    starts = [turn.at for turn in found.turns]
    if not found.turns or min(counts) < 0 or starts != sorted(starts):
        raise ConfigError(f"{name}: needs turns in order of `at`, and no count below 0")
    return found


def usages(talk: Conversation, caching: Caching, *, min_tokens: int) -> Iterator[Usage]:
    """What the provider would count for each turn."""
    read_up_to, last = 0, None
    for turn, prompt in talk.prompts():
        if caching == "none" or prompt < min_tokens:
            yield Usage(uncached=prompt, output=turn.output)
            continue
        alive = last is not None and turn.at - last < _TTL_SECONDS[caching]
        read = read_up_to if alive else 0
        yield Usage(
            cache_read=read,
            cache_write_5m=prompt - read if caching == "5m" else 0,
            cache_write_1h=prompt - read if caching == "1h" else 0,
            output=turn.output,
        )
        read_up_to, last = prompt, turn.at


def bill(talk: Conversation, caching: Caching, card: RateCard, *, min_tokens: int) -> Cost:
    """What the whole conversation costs."""
    turns = usages(talk, caching, min_tokens=min_tokens)
    return sum((price(usage, card) for usage in turns), Cost())
