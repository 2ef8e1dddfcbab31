"""Usage is read from whatever a Python program holds it in; None is zero, nonsense is refused."""

from __future__ import annotations

from typing import Any

import anthropic.types
import anthropic.types.beta
import pytest

from farthing.wire.usage import Usage
from farthing.wire.usage_objects import usage_of

WIRE: dict[str, Any] = {
    "input_tokens": 5,
    "output_tokens": 3,
    "cache_creation_input_tokens": 9,
    "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 5},
    "cache_read_input_tokens": 7,
    "service_tier": "batch",
    "not_known_yet": {"x": 1},
}
USAGE = Usage(
    uncached=5, cache_write_5m=4, cache_write_1h=5, cache_read=7, output=3, service_tier="batch"
)
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-5-5",
    "content": [],
    "stop_reason": "end_turn",
    "usage": WIRE,
}


@pytest.mark.parametrize(
    "holder",
    [
        WIRE,
        {"usage": WIRE},
        MESSAGE,
        anthropic.types.Usage.model_validate(WIRE),
        anthropic.types.Message.model_validate(MESSAGE),
        USAGE,
        {"usage": USAGE},
    ],
    ids=["usage", "nested", "message", "sdk usage", "sdk message", "ours", "ours nested"],
)
def test_the_same_usage_in_every_holder(holder):
    assert usage_of(holder) == USAGE


@pytest.mark.parametrize(
    "name", ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"]
)
def test_none_is_zero(name):
    assert usage_of({name: None, "output_tokens": 3}) == Usage(output=3)


@pytest.mark.parametrize("thing", [None, 3, "usage", {}, {"usage": None}, {"usage": {}}, object()])
def test_what_has_no_count_is_no_usage(thing):
    with pytest.raises(TypeError, match=f"{type(thing).__name__} carries no usage"):
        usage_of(thing)


@pytest.mark.parametrize("count", [-1, "7", 1.5])
def test_a_count_that_is_none_is_refused(count):
    with pytest.raises(ValueError, match="cannot be counted"):
        usage_of({"input_tokens": count})


def test_the_iterations_of_the_sdks_beta_usage_are_read():
    entry = {"type": "compaction", "input_tokens": 8, "output_tokens": 2}
    entry |= {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    beta = anthropic.types.beta.BetaUsage.model_validate(WIRE | {"iterations": [entry]})

    (iteration,) = usage_of(beta).iterations

    assert (iteration.type, iteration.usage) == ("compaction", Usage(uncached=8, output=2))
