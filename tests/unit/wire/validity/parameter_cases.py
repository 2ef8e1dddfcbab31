"""Cases of parameters, thinking and features."""

from __future__ import annotations

from typing import Any

from tests.unit.wire.validity.bodies import (
    Case,
    Json,
    assistant,
    body,
    call,
    model,
    result,
    tool,
    user,
)

NEW = {"api_version": "2026-10-21"}
BATCH = {"is_batch": True}
READ = [tool("read")]
FORCED: Json = {"tools": READ, "tool_choice": {"type": "any"}}
FREE: Json = {"tools": READ, "tool_choice": {"type": "auto"}}
BUDGET = {"type": "enabled", "budget_tokens": 1024}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "x"}
COMPACTION = {"type": "compaction", "content": "so far"}
FALLBACK = {"type": "fallback", "from": {"model": "a"}, "to": {"model": "b"}}
LOOP = (assistant(call("a")), user(result("a")))


def thinking(type_: str, effort: str | None = None, **members: Any) -> Json:
    config: Json = {} if effort is None else {"output_config": {"effort": effort}}
    return body(thinking={"type": type_, **members}, **config)


def edits(*edits: Json) -> Json:
    return body(context_management={"edits": [*edits]})


def compaction(trigger: int) -> Json:
    return {"type": "compact_20260112", "trigger": {"type": "input_tokens", "value": trigger}}


PARAMETERS = (
    Case(
        code="parameters.model",
        because="a model is named",
        broken=body(without=("model",)),
        kept=body(model="claude-opus-5-5"),
        address="model",
    ),
    Case(
        code="parameters.max_tokens",
        because="a limit is given",
        broken=body(without=("max_tokens",)),
        kept=body(max_tokens=1),
        address="max_tokens",
    ),
    Case(
        code="parameters.max_tokens",
        because="a limit is a whole number",
        broken=body(max_tokens=1.5),
        kept=body(max_tokens=0),
    ),
    Case(
        code="parameters.max_output",
        because="a model writes so much and no more",
        broken=body(max_tokens=64_001),
        kept=body(max_tokens=64_000),
        traits=model(max_output_tokens=64_000),
        address="max_tokens",
    ),
    Case(
        code="parameters.prewarm",
        because="warming does not stream",
        broken=body(max_tokens=0, stream=True),
        kept=body(max_tokens=1, stream=True),
        address="stream",
    ),
    Case(
        code="parameters.prewarm",
        because="warming does not think by budget",
        broken=body(max_tokens=0, thinking=BUDGET),
        kept=body(max_tokens=0, thinking={"type": "adaptive"}),
        address="thinking.type",
    ),
    Case(
        code="parameters.prewarm",
        because="warming has no output format",
        broken=body(max_tokens=0, output_config={"format": {"type": "json_schema"}}),
        kept=body(max_tokens=0, output_config={"effort": "low", "format": None}),
        address="output_config.format",
    ),
    Case(
        code="parameters.prewarm",
        because="warming forces no tool",
        broken=body(max_tokens=0, **FORCED),
        kept=body(max_tokens=0, **FREE),
        address="tool_choice",
    ),
    Case(
        code="tool_choice.forced",
        because="some models cannot be forced",
        broken=body(**FORCED),
        kept=body(**FREE),
        traits=model(forced_tool_choice="no"),
        address="tool_choice.type",
    ),
    Case(
        code="tool_choice.forced",
        because="some models can be forced while they do not think",
        broken=body(thinking={"type": "adaptive"}, **FORCED),
        kept=body(thinking={"type": "disabled"}, **FORCED),
        traits=model(forced_tool_choice="not with thinking"),
        address="",
    ),
    Case(
        code="tool_choice.forced",
        because="the others can be forced while they think",
        broken=body(thinking=BUDGET, **FORCED),
        kept=body(thinking=BUDGET, **FORCED),
        traits=model(forced_tool_choice="not with thinking"),
        kept_traits=model(forced_tool_choice="yes"),
    ),
    Case(
        code="sampling.version",
        because="the new version takes no sampling, not even the default",
        broken=body(temperature=1),
        kept=body(temperature=None),
        options=NEW,
        address="temperature",
    ),
    Case(
        code="sampling.version",
        because="the old version does",
        broken=body(top_k=5),
        kept=body(),
        options=NEW,
        address="top_k",
    ),
    Case(
        code="sampling.model",
        because="a default is a number, however it is spelled",
        broken=body(temperature="1", top_p=True, top_k=1),
        kept=body(temperature=1.0, top_p=1),
        traits=model(sampling=False),
        address="temperature",
    ),
    Case(
        code="sampling.model",
        because="some models take the default temperature only",
        broken=body(temperature=0.7),
        kept=body(temperature=1.0, top_p=1),
        traits=model(sampling=False),
        address="temperature",
    ),
    Case(
        code="sampling.model",
        because="a top_k has no default to write",
        broken=body(top_k=5),
        kept=body(top_k=5),
        traits=model(sampling=False),
        kept_traits=model(sampling=True),
        address="top_k",
    ),
    Case(
        code="parameters.geo",
        because="old models run where they run",
        broken=body(inference_geo="us"),
        kept=body(),
        traits=model(geo=False),
        address="inference_geo",
    ),
    Case(
        code="parameters.geo",
        because="new models can be kept in a place",
        broken=body(inference_geo="us"),
        kept=body(inference_geo="us"),
        traits=model(geo=False),
        kept_traits=model(geo=True),
    ),
    Case(
        code="parameters.speed",
        because="not every model has a fast mode",
        broken=body(speed="fast"),
        kept=body(speed="standard"),
        traits=model(fast="no"),
        address="speed",
    ),
    Case(
        code="parameters.speed",
        because="a model that serves fast as standard accepts it",
        broken=body(speed="fast"),
        kept=body(speed="fast"),
        traits=model(fast="no"),
        kept_traits=model(fast="served standard"),
    ),
)

THINKING = (
    Case(
        code="thinking.disabled",
        because="some models always think",
        broken=thinking("disabled"),
        kept=thinking("adaptive"),
        traits=model(thinking_disabled="no"),
        address="thinking.type",
    ),
    Case(
        code="thinking.disabled",
        because="some models must think at great effort",
        broken=thinking("disabled", "xhigh"),
        kept=thinking("disabled", "high"),
        traits=model(thinking_disabled="effort<=high"),
    ),
    Case(
        code="thinking.disabled",
        because="the default effort counts",
        broken=thinking("disabled"),
        kept=thinking("disabled"),
        traits=model(thinking_disabled="effort<=high", default_effort="max"),
        kept_traits=model(thinking_disabled="effort<=high", default_effort="medium"),
    ),
    Case(
        code="thinking.disabled",
        because="one model thinks less by another name",
        broken=thinking("disabled"),
        kept=thinking("between_tools"),
        traits=model(thinking_disabled="between_tools"),
    ),
    Case(
        code="thinking.between_tools",
        because="the other models do not know that name",
        broken=thinking("between_tools"),
        kept=thinking("disabled"),
        address="thinking.type",
    ),
    Case(
        code="thinking.between_tools",
        because="at great effort it thinks everywhere",
        broken=thinking("between_tools", "max"),
        kept=thinking("between_tools", "high"),
        traits=model(thinking_disabled="between_tools"),
    ),
    Case(
        code="thinking.enabled",
        because="not every model takes a budget",
        broken=body(thinking=BUDGET),
        kept=body(thinking=BUDGET),
        traits=model(thinking_budget=False),
        kept_traits=model(thinking_budget=True),
        address="thinking.type",
    ),
    Case(
        code="thinking.adaptive",
        because="not every model adapts",
        broken=thinking("adaptive"),
        kept=thinking("adaptive"),
        traits=model(thinking_adaptive=False),
        kept_traits=model(thinking_adaptive=True),
        address="thinking.type",
    ),
    Case(
        code="thinking.budget",
        because="a budget has 1024 tokens",
        broken=thinking("enabled", budget_tokens=1023),
        kept=thinking("enabled", budget_tokens=1024),
        address="thinking.enabled.budget_tokens",
    ),
    Case(
        code="thinking.budget",
        because="a budget is given",
        broken=thinking("enabled"),
        kept=thinking("adaptive"),
    ),
    Case(
        code="thinking.budget",
        because="a budget is less than the limit",
        broken=body(max_tokens=1024, thinking=BUDGET),
        kept=body(max_tokens=1025, thinking=BUDGET),
        address="",
    ),
    Case(
        code="thinking.budget",
        because="with tools it may be more",
        broken=body(max_tokens=1024, thinking=BUDGET),
        kept=body(max_tokens=1024, thinking=BUDGET, tools=READ),
    ),
    Case(
        code="thinking.loop_start",
        because="a loop shows the thinking it began with",
        broken=body(user("go"), *LOOP, thinking=BUDGET),
        kept=body(user("go"), assistant(THOUGHT, call("a")), user(result("a")), thinking=BUDGET),
        address="messages.1.content.0.type",
    ),
    Case(
        code="thinking.loop_start",
        because="the later turns of a loop may begin with a call",
        broken=body(
            *(user("go"), *LOOP, assistant(THOUGHT, call("b")), user(result("b"))),
            thinking=BUDGET,
        ),
        kept=body(
            *(user("go"), assistant(THOUGHT, call("a")), user(result("a"))),
            *(assistant(call("b")), user(result("b"))),
            thinking=BUDGET,
        ),
    ),
    Case(
        code="thinking.loop_start",
        because="what the provider puts in front of an answer does not begin it",
        broken=body(user("go"), assistant(FALLBACK, call("a")), LOOP[1], thinking=BUDGET),
        kept=body(
            *(user("go"), assistant(COMPACTION, FALLBACK, THOUGHT, call("a")), LOOP[1]),
            thinking=BUDGET,
        ),
        address="messages.1.content.1.type",
    ),
    Case(
        code="thinking.loop_start",
        because="what the user says beside results ends a loop",
        broken=body(user("go"), *LOOP, assistant(call("b")), user(result("b")), thinking=BUDGET),
        kept=body(
            *(user("go"), assistant(call("a")), user(result("a"), "and?")),
            *(assistant(THOUGHT, call("b")), user(result("b"))),
            thinking=BUDGET,
        ),
    ),
    Case(
        code="thinking.loop_start",
        because="a loop that is over may show nothing",
        broken=body(user("go"), assistant("ok"), user("go"), *LOOP, thinking=BUDGET),
        kept=body(user("go"), *LOOP, assistant("ok"), user("go"), thinking=BUDGET),
    ),
)

FEATURES = (
    Case(
        code="batch.item",
        because="an item does not stream",
        broken=body(stream=True),
        kept=body(stream=False),
        options=BATCH,
        address="stream",
    ),
    Case(
        code="batch.item",
        because="an item has no speed",
        broken=body(speed="standard"),
        kept=body(),
        options=BATCH,
        address="speed",
    ),
    Case(
        code="batch.item",
        because="an item belongs to no thread",
        broken=body(thread={"type": "create"}),
        kept=body(),
        options=BATCH,
        address="thread",
    ),
    Case(
        code="batch.item",
        because="an item does not warm",
        broken=body(max_tokens=0),
        kept=body(max_tokens=200_000),
        options=BATCH,
        address="max_tokens",
    ),
    Case(
        code="thread.continuation",
        because="a thread goes on without what it knows",
        broken=body(system="be brief", thread={"type": "continue"}),
        kept=body(system="be brief", thread={"type": "create"}),
        address="system",
    ),
    Case(
        code="thread.continuation",
        because="a thread goes on without tools",
        broken=body(tools=READ, thread={"type": "continue"}),
        kept=body(thread={"type": "continue"}),
        address="tools",
    ),
    Case(
        code="context_management.order",
        because="thinking is cleared first",
        broken=edits({"type": "clear_tool_uses_20250919"}, {"type": "clear_thinking_20251015"}),
        kept=edits({"type": "clear_thinking_20251015"}, {"type": "clear_tool_uses_20250919"}),
        address="context_management.edits.1",
    ),
    Case(
        code="compaction.trigger",
        because="nothing short is compacted",
        broken=edits(compaction(49_999)),
        kept=edits(compaction(50_000), {"type": "compact_20260112"}),
        address="context_management.edits.0.trigger.value",
    ),
    Case(
        code="compaction.trigger",
        because="other edits trigger earlier",
        broken=edits(compaction(-1)),
        kept=edits({"type": "clear_tool_uses_20250919", "trigger": {"value": 10}}),
    ),
    Case(
        code="compaction.alone",
        because="compaction on demand goes alone",
        broken=body(compaction={"type": "summarize"}, context_management={"edits": []}),
        kept=body(compaction={"type": "summarize"}, context_management=None),
        address="compaction",
    ),
    Case(
        code="compaction.instructions",
        because="instructions are short",
        broken=body(compaction={"type": "summarize", "instructions": "x" * 16_385}),
        kept=body(compaction={"type": "summarize", "instructions": "x" * 16_384}),
        address="compaction.instructions",
    ),
    Case(
        code="output_config.task_budget",
        because="a task has a budget worth the name",
        broken=body(output_config={"task_budget": {"type": "tokens", "total": 19_999}}),
        kept=body(output_config={"task_budget": {"type": "tokens", "total": 20_000}}),
        address="output_config.task_budget.total",
    ),
)

CASES = (*PARAMETERS, *THINKING, *FEATURES)
