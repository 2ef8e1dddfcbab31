"""Cache diagnostics: why the prompt cache could not reuse the previous request's prefix.

Source: API facts, section 2.9. A fingerprint is kept only for requests that sent ``diagnostics``.
The order of the checks (model, system, tools, messages) is inferred there.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from farthing.lab.emulator.call import Call
from farthing.lab.emulator.prompt import Prompt
from farthing.lab.emulator.prompt_cache import Accounting, Chain

__all__ = ["Diagnostics"]

_KEPT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fingerprint:
    model: tuple[str, bool]
    system: tuple[bytes, ...]
    tools: tuple[bytes, ...]
    messages: tuple[bytes, ...]
    keys: frozenset[bytes]
    cached: int


class Diagnostics:
    """The fingerprints of requests that asked for a diagnosis, by message id and workspace."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], _Fingerprint] = OrderedDict()

    def diagnose(
        self, prompt: Prompt, chain: Chain, accounting: Accounting, call: Call
    ) -> dict[str, Any] | None:
        """The ``diagnostics`` of an answer."""
        asked = prompt.fields.get("diagnostics")
        previous = asked.get("previous_message_id") if isinstance(asked, dict) else None
        if previous is None:
            return None
        before = self._kept.get((call.account.scope, str(previous)))
        if before is None:
            return {"cache_miss_reason": {"type": "previous_message_not_found"}}
        reason = _reason(before, _fingerprint(prompt, chain, accounting))
        if reason is None or reason == "unavailable":
            return {"cache_miss_reason": {"type": reason}} if reason else None
        missed = max(0, before.cached - accounting.read)
        return {"cache_miss_reason": {"type": reason, "cache_missed_input_tokens": missed}}

    def keep(
        self, message_id: str, prompt: Prompt, chain: Chain, accounting: Accounting, call: Call
    ) -> None:
        """Remember the request of an answer, if it sent ``diagnostics``."""
        if not isinstance(prompt.fields.get("diagnostics"), dict):
            return
        self._kept[call.account.scope, message_id] = _fingerprint(prompt, chain, accounting)
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)


def _fingerprint(prompt: Prompt, chain: Chain, accounting: Accounting) -> _Fingerprint:
    return _Fingerprint(
        model=(prompt.model_id, prompt.fields.get("speed") == "fast"),
        system=tuple(block.digest for block in prompt.system),
        tools=tuple(block.digest for block in prompt.tools),
        messages=tuple(block.digest for message in prompt.messages for block in message.blocks),
        keys=frozenset(chain.keys),
        cached=accounting.cached_end,
    )


def _reason(before: _Fingerprint, now: _Fingerprint) -> str | None:
    if before.model != now.model:
        return "model_changed"
    if before.system != now.system:
        return "system_changed"
    if before.tools != now.tools:
        return "tools_changed"
    if before.messages != now.messages[: len(before.messages)]:
        return "messages_changed"
    return None if before.keys <= now.keys else "unavailable"
