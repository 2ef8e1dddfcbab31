"""The ``usage`` object of an answer, from the accounting of its iterations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from farthing.lab.emulator.prompt_cache import Accounting

__all__ = ["Bill", "Iteration"]

_NOTHING = Accounting(read=0, write_5m=0, write_1h=0, uncached=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Iteration:
    """One sampling: of the model that answers, or of a compaction."""

    type: Literal["message", "compaction"] = "message"
    accounting: Accounting = _NOTHING
    output: int = 0

    def as_json(self) -> dict[str, Any]:
        """The entry of ``usage.iterations``."""
        return {"type": self.type, **_input_fields(self.accounting), "output_tokens": self.output}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """Everything one request is billed for."""

    iterations: tuple[Iteration, ...]
    thinking: int = 0
    searches: int = 0
    tier: str = "standard"
    geo: str = "global"
    speed: str = "standard"
    itemised: bool = False

    @property
    def accounting(self) -> Accounting:
        """The serving model's input; compaction is not in the top level (section 6.2)."""
        return _sum([one.accounting for one in self.iterations if one.type == "message"])

    @property
    def output(self) -> int:
        """The serving model's output."""
        return sum(one.output for one in self.iterations if one.type == "message")

    @property
    def everything(self) -> tuple[Accounting, int]:
        """Input and output with compaction: what is paid and what reports show."""
        return _sum([i.accounting for i in self.iterations]), sum(i.output for i in self.iterations)

    def as_json(self) -> dict[str, Any]:
        """The ``usage`` of a message."""
        searches = {"web_search_requests": self.searches, "web_fetch_requests": 0}
        usage = {
            **_input_fields(self.accounting),
            "output_tokens": self.output,
            "output_tokens_details": {"thinking_tokens": min(self.thinking, self.output)},
            "server_tool_use": searches if self.searches else None,
            "service_tier": self.tier,
            "inference_geo": self.geo,
            "speed": self.speed,
        }
        if self.itemised or any(one.type != "message" for one in self.iterations):
            usage["iterations"] = [one.as_json() for one in self.iterations]
        return usage

    def at_start(self) -> dict[str, Any]:
        """The ``usage`` of ``message_start``: the first iteration's input, output not yet known."""
        first = next((one for one in self.iterations if one.type == "message"), Iteration())
        usage = {**self.as_json(), **_input_fields(first.accounting), "output_tokens": 1}
        for late in ("output_tokens_details", "server_tool_use", "iterations"):
            usage.pop(late, None)
        return usage

    def at_end(self) -> dict[str, Any]:
        """The cumulative ``usage`` of the last ``message_delta``."""
        usage = self.as_json()
        kept = (
            "input_tokens",
            "cache_creation_input_tokens",
            "cache_read_input_tokens",
            "output_tokens",
            "output_tokens_details",
            "server_tool_use",
            "iterations",
        )
        return {name: usage[name] for name in kept if name in usage}


def _input_fields(accounting: Accounting) -> dict[str, Any]:
    return {
        "input_tokens": accounting.uncached,
        "cache_creation_input_tokens": accounting.write_5m + accounting.write_1h,
        "cache_read_input_tokens": accounting.read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": accounting.write_5m,
            "ephemeral_1h_input_tokens": accounting.write_1h,
        },
    }


def _sum(parts: Sequence[Accounting]) -> Accounting:
    return Accounting(
        read=sum(part.read for part in parts),
        write_5m=sum(part.write_5m for part in parts),
        write_1h=sum(part.write_1h for part in parts),
        uncached=sum(part.uncached for part in parts),
    )
