"""What the emulator knows of each model: limits, prompt-cache minimum, thinking rules.

The emulator's own table on purpose: if it read farthing's, one wrong number would fool both.
Source: API facts, sections 1.1, 1.2, 4.1, 5, 6.3-6.5 (documentation of 2026-08 to 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

__all__ = ["MODELS", "Allowed", "Model", "find_model"]

Allowed = Literal["yes", "no", "up_to_high"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model as a client can notice it."""

    id: str
    line: str
    name: str = ""
    released: str = "2026-01-01"
    deprecated: str | None = None
    retires: str | None = None
    # limits
    context_tokens: int = 1_000_000
    max_output_tokens: int = 128_000
    min_cacheable_tokens: int = 512
    # prompt
    new_tokenizer: bool = True
    hidden_tools_tokens: int = 286
    hidden_forced_tokens: int = 406
    # thinking
    thinks_by_default: bool = True
    adaptive: Allowed = "yes"
    disabled: Allowed = "no"
    enabled: Allowed = "no"
    between_tools: Allowed = "no"
    keeps_all_thinking: bool = True
    binding: Literal["none", "new_accounts", "always"] = "none"
    readers: str = "open"
    # parameters
    forced_tool_choice: Literal["yes", "no", "without_thinking"] = "yes"
    prefill: bool = False
    sampling: bool = False
    default_effort: str = "high"
    system_messages: bool = True
    fast: Literal["no", "yes", "beta", "ignored"] = "no"
    geo: bool = True

    def is_retired(self, now: datetime) -> bool:
        """Whether requests that name the model fail at ``now``."""
        return self.retires is not None and now >= _day(self.retires)

    def is_deprecated(self, now: datetime) -> bool:
        """Whether the model is closed to new adopters at ``now``."""
        return self.deprecated is not None and now >= _day(self.deprecated)


def _day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


_FABLE = Model(id="", line="fable", forced_tool_choice="no", disabled="no")
_OPUS_45 = Model(
    id="claude-opus-4-5-20251101",
    line="opus",
    released="2025-11-24",
    context_tokens=200_000,
    max_output_tokens=64_000,
    min_cacheable_tokens=4096,
    new_tokenizer=False,
    hidden_tools_tokens=496,
    hidden_forced_tokens=588,
    thinks_by_default=False,
    adaptive="no",
    disabled="yes",
    enabled="yes",
    forced_tool_choice="without_thinking",
    prefill=True,
    sampling=True,
    system_messages=False,
    geo=False,
)
_OPUS_46 = replace(
    _OPUS_45,
    id="claude-opus-4-6",
    released="2026-02-05",
    context_tokens=1_000_000,
    max_output_tokens=128_000,
    hidden_tools_tokens=497,
    hidden_forced_tokens=589,
    adaptive="yes",
    prefill=False,
    fast="ignored",
    geo=True,
)
_OPUS_48 = Model(
    id="claude-opus-4-8",
    line="opus",
    released="2026-05-28",
    min_cacheable_tokens=1024,
    hidden_tools_tokens=290,
    hidden_forced_tokens=410,
    thinks_by_default=False,
    disabled="yes",
    fast="beta",
)
_RETIRED = replace(_OPUS_45, id="", thinks_by_default=False, min_cacheable_tokens=1024)

_ROWS = (
    replace(
        _FABLE,
        id="claude-fable-5-2",
        released="2026-11-09",
        binding="always",
        readers="5-2",
        fast="yes",
    ),
    replace(
        _FABLE,
        id="claude-mythos-5-2",
        line="mythos",
        released="2026-11-09",
        binding="always",
        readers="5-2",
        fast="yes",
    ),
    replace(
        _FABLE, id="claude-fable-5-1", released="2026-09-01", binding="new_accounts", readers="5-1"
    ),
    replace(
        _FABLE,
        id="claude-mythos-5-1",
        line="mythos",
        released="2026-09-01",
        binding="always",
        readers="5-1",
    ),
    replace(_FABLE, id="claude-fable-5", released="2026-06-09", forced_tool_choice="yes"),
    replace(
        _FABLE, id="claude-mythos-5", line="mythos", released="2026-06-09", forced_tool_choice="yes"
    ),
    Model(
        id="claude-opus-5-5",
        line="opus",
        released="2026-09-22",
        forced_tool_choice="no",
        binding="new_accounts",
        default_effort="medium",
        fast="yes",
    ),
    Model(
        id="claude-opus-5", line="opus", released="2026-07-24", disabled="up_to_high", fast="beta"
    ),
    _OPUS_48,
    replace(
        _OPUS_48,
        id="claude-opus-4-7",
        released="2026-04-16",
        min_cacheable_tokens=2048,
        hidden_tools_tokens=675,
        hidden_forced_tokens=804,
        system_messages=False,
        fast="no",
    ),
    _OPUS_46,
    _OPUS_45,
    Model(
        id="claude-sonnet-5-5",
        line="sonnet",
        released="2026-09-28",
        between_tools="up_to_high",
        forced_tool_choice="no",
        binding="new_accounts",
        readers="account",
    ),
    Model(
        id="claude-sonnet-5",
        line="sonnet",
        released="2026-06-30",
        min_cacheable_tokens=1024,
        hidden_tools_tokens=354,
        hidden_forced_tokens=474,
        disabled="yes",
        system_messages=False,
    ),
    replace(
        _OPUS_46,
        id="claude-sonnet-4-6",
        line="sonnet",
        released="2026-02-17",
        min_cacheable_tokens=1024,
        fast="no",
    ),
    replace(
        _OPUS_45,
        id="claude-sonnet-4-5-20250929",
        line="sonnet",
        released="2025-09-29",
        min_cacheable_tokens=1024,
        keeps_all_thinking=False,
        deprecated="2026-09-30",
        retires="2026-11-30",
    ),
    Model(
        id="claude-haiku-5-5",
        line="haiku",
        released="2026-10-07",
        disabled="up_to_high",
        default_effort="medium",
        binding="new_accounts",
        readers="account",
    ),
    replace(
        _OPUS_45,
        id="claude-haiku-4-5-20251001",
        line="haiku",
        released="2025-10-01",
        keeps_all_thinking=False,
    ),
    replace(
        _RETIRED,
        id="claude-opus-4-1-20250805",
        line="opus",
        released="2025-08-05",
        max_output_tokens=32_000,
        keeps_all_thinking=False,
        deprecated="2026-05-05",
        retires="2026-08-05",
    ),
    replace(
        _RETIRED,
        id="claude-sonnet-4-20250514",
        line="sonnet",
        released="2025-05-14",
        keeps_all_thinking=False,
        deprecated="2026-03-15",
        retires="2026-06-15",
    ),
    replace(
        _RETIRED,
        id="claude-3-5-haiku-20241022",
        line="haiku",
        released="2024-10-22",
        max_output_tokens=8_192,
        min_cacheable_tokens=2048,
        keeps_all_thinking=False,
        deprecated="2025-12-19",
        retires="2026-02-19",
    ),
)

_ALIASES = {
    "claude-opus-4-5": "claude-opus-4-5-20251101",
    "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
    "claude-haiku-4-5": "claude-haiku-4-5-20251001",
}


def _named(model: Model) -> Model:
    words = [word for word in model.id.split("-")[1:] if len(word) < 8]
    title = next(word for word in words if not word.isdigit())
    version = ".".join(word for word in words if word.isdigit())
    return replace(model, name=f"Claude {title.capitalize()} {version}")


MODELS: Mapping[str, Model] = {row.id: _named(row) for row in _ROWS}


def find_model(model_id: str) -> Model | None:
    """The model of an exact id or a documented alias; never by prefix."""
    return MODELS.get(_ALIASES.get(model_id, model_id))
