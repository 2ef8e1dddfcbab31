"""Thinking blocks bound to the conversation before them: signing, checking, dropping.

Theory of operation (API facts, section 6.5, documentation of 2026-10). A block is bound to its
organization (for some models), to the models that may read it, and to everything before it that is
not thinking. Removing thinking from the start, the end, or all of it is allowed, a gap is not: so
each signature also names the thinking block before it. A block of another model group, or another
account where that counts, is dropped silently. A block whose conversation changed is a 400, or is
dropped with the rest of its turn where the request asks for ``drop_block`` (in batches by default).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from farthing.lab.emulator.blocks import Block, block_of
from farthing.lab.emulator.call import Call
from farthing.lab.emulator.catalog import Model
from farthing.lab.emulator.prompt import Message, Prompt
from farthing.lab.emulator.refusal import invalid
from farthing.lab.emulator.signature import Binding, Signer, short_digest

__all__ = ["CheckedThinking", "ThinkingGuard", "prefix_digest", "reports_transformations"]

_KINDS = ("thinking", "redacted_thinking")
_ENFORCED_SINCE = datetime(2026, 8, 31, tzinfo=UTC)
_BETA = "thinking-binding-controls-2026-08-01"
_NONE = bytes(8)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedThinking:
    """The prompt without the blocks that were dropped, and what was dropped."""

    prompt: Prompt
    transformations: tuple[dict[str, Any], ...] = ()


def _walk(digest: bytes, block: Block) -> bytes:
    return blake2b(
        digest + (block.role or block.level).encode() + block.digest, digest_size=16
    ).digest()


def _start(prompt: Prompt) -> bytes:
    digest = bytes(16)
    for block in (*prompt.tools, *prompt.system):
        if not block.value.get("defer_loading"):
            digest = _walk(digest, block)
    return digest


def _after_compaction(messages: tuple[Message, ...]) -> tuple[int, int]:
    """Where the conversation starts for binding: what was compacted does not count."""
    for m in range(len(messages) - 1, -1, -1):
        for b in range(len(messages[m].blocks) - 1, -1, -1):
            if messages[m].blocks[b].kind == "compaction":
                return m, b
    return 0, 0


def _steps(prompt: Prompt) -> Iterator[tuple[int, int, Block, bytes]]:
    """Each block after the last compaction, with the digest of the conversation before it."""
    digest = _start(prompt)
    first = _after_compaction(prompt.messages)
    for m, message in enumerate(prompt.messages):
        for b, block in enumerate(message.blocks):
            if (m, b) < first:
                continue
            yield m, b, block, digest
            if block.kind not in _KINDS:
                digest = _walk(digest, block)


def prefix_digest(prompt: Prompt) -> bytes:
    """The digest of the whole conversation: what a new answer's thinking is bound to."""
    digest = _start(prompt)
    for *_, block, before in _steps(prompt):
        digest = before if block.kind in _KINDS else _walk(before, block)
    return digest


def _last_thinking(prompt: Prompt) -> bytes:
    for message in reversed(prompt.messages):
        for block in reversed(message.blocks):
            if block.kind in _KINDS:
                return _block_id(block)
    return _NONE


def _block_id(block: Block) -> bytes:
    return short_digest(str(block.value.get("signature") or block.value.get("data") or ""))


class ThinkingGuard:
    """Signs the thinking of answers and checks the thinking of requests."""

    def __init__(self, signer: Signer, *, accept_foreign: bool = False) -> None:
        self._signer = signer
        self._accept_foreign = accept_foreign

    def sign(
        self, blocks: list[dict[str, Any]], prompt: Prompt, model: Model, call: Call, tokens: int
    ) -> list[dict[str, Any]]:
        """The answer's blocks with each thinking block signed for this conversation."""
        if all(block.get("type") != "thinking" for block in blocks):
            return blocks
        digest, before = prefix_digest(prompt), _last_thinking(prompt)
        spoken = [block for block in blocks if block.get("type") == "thinking"]
        share = tokens // max(1, len(spoken))
        signed: list[dict[str, Any]] = []
        for block in blocks:
            if block.get("type") == "compaction":  # the conversation starts anew here
                digest, before = _start(prompt), _NONE
            if block.get("type") not in _KINDS:
                digest = _walk(digest, block_of("messages", "assistant", block))
                signed.append(block)
                continue
            if block.get("signature") or "thinking" not in block:
                signed.append(block)
                continue
            binding = self._binding(model, call, prefix=digest, before=before, tokens=share)
            signature = self._signer.sign(binding, str(block["thinking"]))
            before = short_digest(signature)
            signed.append({**block, "signature": signature})
        return signed

    def _binding(self, model: Model, call: Call, **facts: Any) -> Binding:
        return Binding(
            organization=short_digest(call.account.organization),
            readers=short_digest(_readers(model)),
            **facts,
        )

    def check(self, prompt: Prompt, model: Model, call: Call) -> CheckedThinking:
        """The prompt as the model is shown it; refuses a mismatch that must be refused."""
        if not any(block.kind in _KINDS for message in prompt.messages for block in message.blocks):
            return CheckedThinking(prompt=prompt)
        failing = self._failing(prompt, model, call)
        if not failing:
            return CheckedThinking(prompt=prompt)
        self._refuse(failing, prompt, call)
        dropped = _with_rest_of_turn(failing, prompt)
        kept = tuple(_without(message, m, dropped) for m, message in enumerate(prompt.messages))
        notes = tuple(
            {"type": "thinking_dropped", "path": f"messages.{m}.content.{b}", "reason": reason}
            for (m, b), reason in sorted(dropped.items())
        )
        return CheckedThinking(prompt=replace(prompt, messages=kept), transformations=notes)

    def _failing(self, prompt: Prompt, model: Model, call: Call) -> dict[tuple[int, int], str]:
        failing: dict[tuple[int, int], str] = {}
        expected: bytes | None = None
        enforced = _is_enforced(prompt, model, call)
        for m, b, block, digest in _steps(prompt):
            if block.kind not in _KINDS:
                continue
            binding = self._open(block, f"messages.{m}.content.{b}")
            if binding is None:
                continue
            gap = expected is not None and binding.before != expected
            expected = _block_id(block)
            if model.readers == "account" and binding.organization != short_digest(
                call.account.organization
            ):
                failing[m, b] = "organization_binding_mismatch"
            elif binding.readers != short_digest(_readers(model)):
                failing[m, b] = "model_binding_mismatch"
            elif enforced and (gap or binding.prefix != digest):
                failing[m, b] = "prefix_binding_mismatch"
        return failing

    def _open(self, block: Block, path: str) -> Binding | None:
        signature = str(block.value.get("signature") or block.value.get("data") or "")
        binding = self._signer.open(signature, str(block.value.get("thinking", "")))
        if binding is None and not self._accept_foreign:
            raise invalid(f"{path}: Invalid `signature` in `thinking` block")
        return binding

    def _refuse(self, failing: dict[tuple[int, int], str], prompt: Prompt, call: Call) -> None:
        if call.batch or _mismatch_behavior(prompt) == "drop_block":
            return
        for (m, b), reason in sorted(failing.items()):
            if reason == "prefix_binding_mismatch":
                raise invalid(
                    f"messages.{m}.content.{b}: Invalid `signature` in `thinking` block: the block "
                    "is bound to a different conversation. Send what is before it unchanged, "
                    "remove all thinking blocks, or set "
                    "`thinking.block_binding.prefix_mismatch_behavior` to `drop_block`."
                )


def reports_transformations(call: Call) -> bool:
    """Whether the answer lists what was dropped."""
    return call.has_beta(_BETA)


def _readers(model: Model) -> str:
    return f"{model.readers}/{model.id}" if model.readers == "account" else model.readers


def _mismatch_behavior(prompt: Prompt) -> str | None:
    thinking = prompt.fields.get("thinking")
    binding = thinking.get("block_binding") if isinstance(thinking, dict) else None
    value = binding.get("prefix_mismatch_behavior") if isinstance(binding, dict) else None
    return str(value) if value else None


def _is_enforced(prompt: Prompt, model: Model, call: Call) -> bool:
    if model.binding == "always":
        return True
    if _mismatch_behavior(prompt) and model.binding != "none":
        return True
    return model.binding == "new_accounts" and call.account.created_at >= _ENFORCED_SINCE


def _with_rest_of_turn(
    failing: dict[tuple[int, int], str], prompt: Prompt
) -> dict[tuple[int, int], str]:
    dropped = dict(failing)
    for (m, b), reason in failing.items():
        for later in range(b + 1, len(prompt.messages[m].blocks)):
            if prompt.messages[m].blocks[later].kind in _KINDS:
                dropped.setdefault((m, later), reason)
    return dropped


def _without(message: Message, m: int, dropped: dict[tuple[int, int], str]) -> Message:
    if all(at[0] != m for at in dropped):
        return message
    kept = tuple(block for b, block in enumerate(message.blocks) if (m, b) not in dropped)
    return replace(message, blocks=kept)
