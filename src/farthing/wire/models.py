"""What the wire floor needs to know of a model, as a value handed in by whoever has the catalogue.

The data itself lives one floor up (``farthing.pricing.traits``): this floor only says which facts
decide whether a request is valid and what its prompt-cache key contains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["ModelTraits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTraits:
    """Dated behaviour of one model (sections 1, 4.1, 5, 6.4 and 6.5 of the API facts)."""

    id: str
    context_tokens: int = 1_000_000
    max_output_tokens: int = 128_000
    #: a shorter prefix is silently not cached
    min_cacheable_tokens: int = 512
    #: the tokenizer that came with Opus 4.7 yields about 30 % more tokens
    tokenizer: Literal["old", "new"] = "new"
    #: hidden system tokens when tools are present: (auto or none, any or tool)
    tool_prompt_tokens: tuple[int, int] = (286, 406)
    default_effort: str = "high"
    default_thinking: Literal["off", "on", "always"] = "off"
    #: is ``thinking: disabled`` accepted
    thinking_disabled: Literal["yes", "no", "effort<=high", "between_tools"] = "yes"
    #: is ``thinking: enabled`` with a budget accepted
    thinking_budget: bool = False
    thinking_adaptive: bool = True
    #: is ``tool_choice`` any/tool accepted
    forced_tool_choice: Literal["yes", "no", "not with thinking"] = "yes"
    prefill: bool = False
    #: are non-default temperature, top_p, top_k accepted (API version 2023-06-01)
    sampling: bool = False
    #: are ``role: system`` messages accepted inside the conversation
    system_messages: bool = False
    #: does the thinking of earlier turns stay in the prompt
    keeps_all_thinking: bool = True
    #: is a thinking block bound to the exact prefix that produced it
    binds_thinking: Literal["no", "new accounts", "yes"] = "no"
    #: does a change of thinking or effort lose the tools and system levels too
    renders_config_first: bool = True
    geo: bool = True
    fast: Literal["no", "beta", "yes", "served standard"] = "no"
    max_images: int = 600
    #: image tiers: (longest edge in pixels, most tokens)
    image_limits: tuple[int, int] = (2576, 4784)
