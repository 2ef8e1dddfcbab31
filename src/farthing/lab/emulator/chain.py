"""From a prompt to the prompt cache's chain: keys, cumulative tokens, breakpoints.

Theory of operation. A parameter is mixed into the key at the level it is rendered at, so that a
change loses that level and all after it (API facts, 2.6): the model, and - where the documentation
does not say which models render them early - thinking, effort and task budget before the tools;
web search, citations and speed before the system; tool choice and the presence of images before the
messages. What is not rendered (``max_tokens``, ``stream``, ``metadata`` ...) is not in any key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from farthing.lab.emulator.blocks import Block
from farthing.lab.emulator.breakpoints import find_breakpoints
from farthing.lab.emulator.catalog import Model
from farthing.lab.emulator.prompt import Message, Prompt
from farthing.lab.emulator.prompt_cache import Chain

__all__ = [
    "MESSAGE_TOKENS",
    "build_chain",
    "extend_key",
    "hidden_tokens",
    "rendered",
    "thinking_mode",
]

_THINKING = ("thinking", "redacted_thinking")
MESSAGE_TOKENS = 3  # role and turn marks around a message; this emulator's own choice


def thinking_mode(fields: Mapping[str, Any], model: Model) -> str:
    """The thinking in force: what was asked for, else the model's default."""
    asked = fields.get("thinking")
    if isinstance(asked, dict) and asked.get("type"):
        return str(asked["type"])
    return "adaptive" if model.thinks_by_default else "disabled"


def rendered(prompt: Prompt, model: Model) -> list[tuple[str, Block]]:
    """The blocks the model is shown, with their addresses, in render order."""
    blocks = [pair for pair in prompt.addresses() if not pair[1].value.get("defer_loading")]
    if model.keeps_all_thinking:
        return blocks
    last = _last_spoken_turn(prompt.messages)
    return [
        pair for pair in blocks if not (pair[1].kind in _THINKING and _message_of(pair[0]) < last)
    ]


def _message_of(address: str) -> int:
    level, _, rest = address.partition(".")
    return int(rest.partition(".")[0]) if level == "messages" else -1


def _last_spoken_turn(messages: Sequence[Message]) -> int:
    """The last user message that is more than tool results: earlier thinking is stripped (6.4)."""
    for at in range(len(messages) - 1, -1, -1):
        message = messages[at]
        if message.role == "user" and any(block.kind != "tool_result" for block in message.blocks):
            return at
    return 0


def hidden_tokens(prompt: Prompt, model: Model) -> int:
    """The system tokens the API adds when tools are given (section 5)."""
    choice = prompt.fields.get("tool_choice")
    kind = choice.get("type", "auto") if isinstance(choice, dict) else "auto"
    if not prompt.tools:
        return 0
    return model.hidden_forced_tokens if kind in ("any", "tool") else model.hidden_tools_tokens


def build_chain(prompt: Prompt, model: Model, sizes: Sequence[int] | None = None) -> Chain:
    """The chain of a prompt; ``sizes`` are recorded tokens per block where they are known."""
    blocks = rendered(prompt, model)
    counts = _counts(blocks, prompt, model, sizes)
    keys: list[bytes] = []
    tokens: list[int] = []
    key, level, total = _seed(prompt, model), "tools", 0
    for at, (_, block) in enumerate(blocks):
        for entered in _levels_between(level, block.level):
            key = _mix(key, _level_parameters(entered, prompt))
        level = block.level
        if not _is_web_search(block):
            key = extend_key(key, block)
        total += counts[at]
        keys.append(key)
        tokens.append(total)
    return Chain(
        keys=tuple(keys),
        tokens=tuple(tokens),
        breakpoints=find_breakpoints(blocks, prompt.fields.get("cache_control")),
        minimum=model.min_cacheable_tokens,
    )


def _counts(
    blocks: Sequence[tuple[str, Block]], prompt: Prompt, model: Model, sizes: Sequence[int] | None
) -> list[int]:
    own = [block.size.of(model.new_tokenizer) for _, block in blocks]
    for at, (address, _) in enumerate(blocks):
        own[at] += MESSAGE_TOKENS if address.endswith(".content.0") else 0
    if own:
        own[0] += hidden_tokens(prompt, model)
    if sizes is not None:
        own[: len(sizes)] = sizes[: len(own)]
    return own


def extend_key(key: bytes, block: Block) -> bytes:
    """The key one block further on."""
    return blake2b(
        key + (block.role or block.level).encode() + block.digest, digest_size=16
    ).digest()


def _mix(key: bytes, value: Any) -> bytes:
    return blake2b(key + msgspec.json.encode(value), digest_size=16).digest()


def _levels_between(current: str, entered: str) -> Iterable[str]:
    order = ("tools", "system", "messages")
    return order[order.index(current) + 1 : order.index(entered) + 1]


def _seed(prompt: Prompt, model: Model) -> bytes:
    config = prompt.fields.get("output_config")
    config = config if isinstance(config, dict) else {}
    thinking = prompt.fields.get("thinking")
    budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    effort = config.get("effort") or model.default_effort
    facts = [
        model.id,
        thinking_mode(prompt.fields, model),
        budget,
        effort,
        config.get("task_budget"),
    ]
    return blake2b(msgspec.json.encode(facts), digest_size=16).digest()


def _level_parameters(level: str, prompt: Prompt) -> list[Any]:
    if level == "system":
        search = [block.digest.hex() for block in prompt.tools if _is_web_search(block)]
        return [search, _has_citations(prompt), prompt.fields.get("speed") == "fast"]
    choice = prompt.fields.get("tool_choice") or {"type": "auto"}
    return [choice, any(block.kind == "image" or _holds_image(block) for block in prompt.blocks())]


def _is_web_search(block: Block) -> bool:
    return block.level == "tools" and str(block.value.get("type", "")).startswith("web_search_")


def _has_citations(prompt: Prompt) -> bool:
    return any(
        isinstance(cited := block.value.get("citations"), dict) and bool(cited.get("enabled"))
        for block in prompt.blocks()
        if block.kind in ("document", "search_result")
    )


def _holds_image(block: Block) -> bool:
    inner = block.value.get("content")
    return isinstance(inner, list) and any(
        isinstance(i, dict) and i.get("type") == "image" for i in inner
    )
