"""The shapes of a request's fields: wrong types are a 400 before any rule looks at a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from farthing.lab.emulator.refusal import invalid

__all__ = ["Amount", "Edit", "check_shapes", "parse_edits"]

_T = TypeVar("_T")


class Amount(msgspec.Struct, frozen=True):
    """A number of something: input tokens, tool uses, thinking turns."""

    type: str = "input_tokens"
    value: int = 0


class Edit(msgspec.Struct, frozen=True):
    """One entry of ``context_management.edits``, of any type."""

    type: str
    trigger: Amount | None = None
    keep: Amount | str | None = None
    clear_at_least: Amount | None = None
    exclude_tools: list[str] | None = None
    clear_tool_inputs: bool | list[str] | None = None
    pause_after_compaction: bool | None = None
    instructions: str | None = None


class _Management(msgspec.Struct, frozen=True):
    edits: list[Edit] = msgspec.field(default_factory=list)


class _Fields(msgspec.Struct, frozen=True):
    """Members that are not spelled here may have any shape: unknown fields are not refused."""

    stream: bool | None = None
    stop_sequences: list[str] | None = None
    thinking: dict[str, Any] | None = None
    tool_choice: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    cache_control: dict[str, Any] | None = None
    diagnostics: dict[str, Any] | None = None
    thread: dict[str, Any] | None = None
    compaction: dict[str, Any] | None = None
    context_management: dict[str, Any] | None = None


def check_shapes(fields: Mapping[str, Any]) -> None:
    """Refuse fields of the wrong type."""
    _convert(fields, _Fields, "")
    marker = fields.get("cache_control")
    if marker and marker.get("ttl") not in (None, "5m", "1h"):
        raise invalid(f"cache_control.ttl: Input should be '5m' or '1h', got {marker['ttl']!r}")


def parse_edits(management: Any) -> list[Edit]:
    """The edits of ``context_management``."""
    return _convert(management, _Management, "context_management").edits


def _convert(value: Any, kind: type[_T], where: str) -> _T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        at = f"{where}{path.rstrip('`')}".lstrip(".")
        raise invalid(f"{at or 'body'}: {message}") from error
