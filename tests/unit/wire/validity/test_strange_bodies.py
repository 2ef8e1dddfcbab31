"""Bodies nobody would send: looking at them ends in violations or in a ``RequestError``."""

from __future__ import annotations

import json
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from farthing.errors import RequestError
from tests.unit.wire.validity.bodies import Json, model, violations

WORDS = st.sampled_from(
    [
        *("user", "assistant", "system", "text", "thinking", "image", "document", "a", "b", " "),
        *("tool_use", "tool_result", "server_tool_use", "web_search_tool_result", "search_result"),
        *("ephemeral", "5m", "1h", "enabled", "disabled", "adaptive", "continue", "any", "tool"),
        *("compact_20260112", "clear_thinking_20251015", "fast", "us", "max"),
    ]
)
BLOCK_KEYS = st.sampled_from(
    [
        *("type", "text", "id", "tool_use_id", "name", "content", "source", "data", "caller"),
        *("cache_control", "ttl", "citations", "defer_loading", "input", "tool_id"),
    ]
)
TOP_KEYS = st.sampled_from(
    [
        *("model", "max_tokens", "stream", "system", "tools", "thinking", "tool_choice", "thread"),
        *("output_config", "context_management", "compaction", "cache_control", "temperature"),
        *("top_k", "speed", "inference_geo", "mcp_servers"),
    ]
)
INNER_KEYS = BLOCK_KEYS | st.sampled_from(
    ["effort", "budget_tokens", "edits", "trigger", "value", "task_budget", "total", "format"]
)

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(INNER_KEYS, inner, max_size=4),
    max_leaves=8,
)
blocks = st.dictionaries(BLOCK_KEYS, values, max_size=5)
contents = st.lists(blocks, max_size=4) | WORDS | values
messages = st.fixed_dictionaries({"role": WORDS | values, "content": contents})
bodies = st.builds(
    lambda fields, conversation: fields | {"messages": conversation},
    st.dictionaries(TOP_KEYS, values, max_size=6),
    st.lists(messages, max_size=5),
)


@given(bodies, st.booleans())
def test_no_body_makes_a_rule_stumble(request: Json, is_new: bool) -> None:
    version = "2026-10-21" if is_new else "2023-06-01"
    strict = model(sampling=False, prefill=False, thinking_disabled="no", fast="no", geo=False)

    with suppress(RequestError):
        found = violations(request, strict, api_version=version, is_batch=is_new)
        assert all(json.dumps(str(each)) for each in found)
