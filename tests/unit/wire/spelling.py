"""Strategies for Messages bodies, and for the many ways to spell one body in JSON."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

__all__ = ["blocks", "bodies", "json_values", "spelled"]

#: text without lone surrogates, with the characters that JSON treats specially made frequent
texts = st.text(
    st.one_of(
        st.sampled_from('"\\/\n\t{}[],:é→日本 '),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=12,
)
names = st.one_of(st.sampled_from(["type", "text", "cache_control", "é", ""]), texts)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(10**30), max_value=10**30),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
)
json_values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=6,
)
marks = st.one_of(
    st.none(),
    st.just({"type": "ephemeral"}),
    st.sampled_from(["5m", "1h"]).map(lambda ttl: {"type": "ephemeral", "ttl": ttl}),
)


@st.composite
def blocks(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(
        st.sampled_from(["text", "tool_use", "tool_result", "thinking", "thinking", "image", "new"])
    )
    block: dict[str, Any] = {"type": kind}
    if kind == "text":
        block["text"] = draw(texts)
    elif kind == "tool_use":
        block |= {"id": draw(texts), "name": "f", "input": draw(json_values)}
    elif kind == "tool_result":
        inner = st.lists(texts.map(lambda text: {"type": "text", "text": text}), max_size=2)
        block |= {"tool_use_id": draw(texts), "content": draw(st.one_of(texts, inner))}
    else:
        block["payload"] = draw(json_values)
    if draw(st.booleans()):
        block["cache_control"] = draw(marks)
    return block


#: what a body of unknown fields must leave alone: hypothesis tries the names it reads in our code
_TYPED = {"model", "max_tokens", "tools", "system", "messages"} | {
    "thinking", "output_config", "speed", "tool_choice", "mcp_servers"
}  # fmt: skip


contents = st.one_of(texts, st.lists(blocks(), max_size=3))


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    body: dict[str, Any] = {"model": "claude-opus-5-5", "max_tokens": 10}
    if draw(st.booleans()):
        body["tools"] = draw(st.lists(blocks(), max_size=2))
    if draw(st.booleans()):
        body["system"] = draw(contents)
    roles = st.sampled_from(["user", "assistant"])
    message = st.builds(lambda role, content: {"role": role, "content": content}, roles, contents)
    body["messages"] = draw(st.lists(message, max_size=4))
    extra = draw(st.dictionaries(texts, json_values, max_size=2))
    body = {name: value for name, value in extra.items() if name not in _TYPED} | body
    order = draw(st.permutations(list(body)))
    return {name: body[name] for name in order}


@st.composite
def spelled(draw: st.DrawFn, value: Any) -> bytes:
    """Some JSON text of ``value``: other whitespace, other escapes, the same meaning."""
    gap = draw(st.sampled_from(["", "", " ", "\n\t "]))
    escape = draw(st.booleans())
    return _spell(value, gap, escape=escape).encode()


def _spell(value: Any, gap: str, *, escape: bool) -> str:
    if isinstance(value, dict):
        pairs = (
            f"{json.dumps(name, ensure_ascii=escape)}{gap}:{gap}{_spell(each, gap, escape=escape)}"
            for name, each in value.items()
        )
        return f"{{{gap}{f'{gap},{gap}'.join(pairs)}{gap}}}"
    if isinstance(value, list):
        items = (_spell(each, gap, escape=escape) for each in value)
        return f"[{gap}{f'{gap},{gap}'.join(items)}{gap}]"
    text = json.dumps(value, ensure_ascii=escape)
    return text.replace("/", "\\/") if escape and isinstance(value, str) else text
