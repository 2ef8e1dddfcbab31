"""Recorded sizes: where a trace says how many tokens a prompt had, that is what it has here.

Two forms. ``sizes`` (in a script line, or the header ``x-emulator-sizes``) gives tokens per block
in render order; blocks beyond its end are measured. ``prompt_tokens`` gives the total of a turn:
blocks known from earlier turns of the conversation keep their size, the new ones share what is
left. If a known block is gone - the history was rewritten - the total no longer describes the
prompt, and new blocks get their measured size times the ratio seen so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from farthing.lab.emulator.answers import Answer
from farthing.lab.emulator.blocks import Block
from farthing.lab.emulator.call import Call
from farthing.lab.emulator.catalog import Model
from farthing.lab.emulator.chain import rendered
from farthing.lab.emulator.prompt import Prompt
from farthing.lab.emulator.refusal import invalid

__all__ = ["SizeBook"]


@dataclass(slots=True)
class _Known:
    sizes: dict[bytes, int] = field(default_factory=dict)
    recorded: int = 0
    measured: int = 0

    @property
    def ratio(self) -> float:
        return self.recorded / self.measured if self.measured else 1.0


class SizeBook:
    """What was learned of each conversation's blocks."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], _Known] = {}

    def sizes(
        self, prompt: Prompt, model: Model, call: Call, answer: Answer
    ) -> Sequence[int] | None:
        """Tokens per block where something is recorded."""
        if header := call.headers.get("x-emulator-sizes"):
            return _parsed(header)
        if answer.sizes is not None:
            return answer.sizes
        conversation = call.headers.get("x-emulator-conversation")
        if answer.prompt_tokens is None or conversation is None:
            return None
        known = self._known.setdefault((call.account.scope, conversation), _Known())
        return _share(prompt, model, known, answer.prompt_tokens)


def _parsed(header: str) -> list[int]:
    try:
        return [int(text) for text in header.split(",")]
    except ValueError as error:
        raise invalid("x-emulator-sizes: must be integers separated by commas") from error


def _share(prompt: Prompt, model: Model, known: _Known, total: int) -> list[int]:
    blocks = [block for _, block in rendered(prompt, model)]
    if not known.sizes.keys() <= {block.digest for block in blocks}:
        return [known.sizes.get(b.digest, round(_own(b, model) * known.ratio)) for b in blocks]
    new = [at for at, block in enumerate(blocks) if block.digest not in known.sizes]
    sizes = [known.sizes.get(block.digest, 0) for block in blocks]
    left = max(0, total - sum(sizes))
    weight = sum(_own(blocks[at], model) for at in new)
    given = 0
    for at in new:
        share = left * _own(blocks[at], model) // max(1, weight)
        sizes[at] = known.sizes[blocks[at].digest] = share
        given += share
    if new:  # the rounding's rest goes to the last block
        sizes[new[-1]] += left - given
        known.sizes[blocks[new[-1]].digest] = sizes[new[-1]]
    known.recorded += left
    known.measured += weight
    return sizes


def _own(block: Block, model: Model) -> int:
    return max(1, block.size.of(model.new_tokenizer))
