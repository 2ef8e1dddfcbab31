"""What was seen of a loop, as one code on an exchange's row, and read back from it.

A row keeps codes and no documents, so the evidence is written out behind the code's colon: kind,
figures, and names of tools. No text of a prompt or result comes here. Metrics count what stands in
front of the colon.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from farthing.core.loop_values import Action, LoopFinding
from farthing.pricing.money import dump_usd

__all__ = ["LoopSighting", "dump_sighting", "parse_sighting"]

_MOST_TOOLS: Final = 4
#: a tool's name is the client's choice; what is none by the API's rules is left out
_TOOL: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}", re.ASCII)
_CODE: Final = re.compile(
    r"loop\.(?:told|stopped):(?P<kind>[a-z_]+) step=(?P<step>[a-z]+) repeats=(?P<repeats>\d+)"
    r" cycle=(?P<cycle>\d+) turns=(?P<turns>\d+) tokens=(?P<tokens>\d+)"
    r"(?: usd=(?P<usd>[0-9.]+))?(?: tools=(?P<tools>\S+))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSighting:
    """A loop as a row tells it."""

    kind: str
    step: str
    repeats: int
    #: turns of one copy
    cycle: int
    wasted_turns: int
    wasted_tokens: int
    #: what these turns cost, in exact decimal text; None: not known to the process that saw it
    wasted_usd: str | None
    tools: tuple[str, ...]


def dump_sighting(finding: LoopFinding, step: Action, wasted_pico: int | None) -> str:
    """The code of a row: ``loop.stopped:exact_cycle step=stop repeats=6 …``."""
    tools = [tool for tool in finding.tools if _TOOL.fullmatch(tool)][:_MOST_TOOLS]
    name = "stopped" if step == "stop" else "told"
    parts = [
        f"loop.{name}:{finding.kind} step={step} repeats={finding.repeats}",
        f"cycle={len(finding.cycle)} turns={finding.wasted_turns} tokens={finding.wasted_tokens}",
        *([] if wasted_pico is None else [f"usd={dump_usd(wasted_pico)}"]),
        *([f"tools={','.join(tools)}"] if tools else []),
    ]
    return " ".join(parts)


def parse_sighting(code: str) -> LoopSighting | None:
    """What ``dump_sighting`` wrote; None for every other code."""
    found = _CODE.fullmatch(code)
    if found is None:
        return None
    return LoopSighting(
        kind=found["kind"],
        step=found["step"],
        repeats=int(found["repeats"]),
        cycle=int(found["cycle"]),
        wasted_turns=int(found["turns"]),
        wasted_tokens=int(found["tokens"]),
        wasted_usd=found["usd"],
        tools=tuple(found["tools"].split(",")) if found["tools"] else (),
    )
