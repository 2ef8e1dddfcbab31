"""Agents that call tools: a coding agent, one that waits for people, and one that fans out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from farthing.lab.scenarios import measured
from farthing.lab.scenarios.distributions import Mix, Quantiles
from farthing.lab.scenarios.draft import Client, Draft, result_block, text_block
from farthing.lab.scenarios.text import write_text
from farthing.traces.format import Conversation

__all__ = ["coding_agent", "fan_out", "human_in_the_loop"]

_MODEL: Final = "claude-opus-5-5"
_TOOL_NAMES: Final = ("Bash", "Read", "Edit", "Grep", "Glob", "Write", "Task", "WebFetch")

#: The measured hidden prefix of the client is 25,000 to 60,000 tokens; ours is at its lower end.
_TOOL_TOKENS: Final = 1_000
_SYSTEM_TOKENS: Final = 17_000

#: Assumption: somebody who approves each step looks after a quarter of an hour, after lunch, or
#: tomorrow. Long gaps were measured (5 % of gaps between a person's turns exceed 42 minutes); how
#: often an approval is what is waited for was not.
_APPROVAL_GAP: Final = Quantiles(
    ((0.05, 60), (0.25, 420), (0.5, 900), (0.75, 2_700), (0.95, 9_000), (0.99, 50_000))
)
_FIRST_AT: Final = 1_794_819_600.0  # 2026-11-16 09:00 UTC, a Monday
_DAY: Final = 86_400.0
_SESSION_GAP: Final = 5_400.0

_FAN_OUT: Final = Mix({"3": 0.4, "4": 0.3, "6": 0.2, "8": 0.1})
_STEPS_BETWEEN_WAVES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Habits:
    """The shape of one agent's work."""

    tools: Mix
    results: Mapping[str, Quantiles]
    user_gap: Quantiles = measured.AGENT_USER_GAP
    #: share of calls that answer a person
    user_ratio: float = measured.USER_TURN_RATIO


_CODING: Final = _Habits(tools=measured.AGENT_TOOLS, results=measured.AGENT_RESULTS)
_APPROVED: Final = _Habits(
    tools=measured.AGENT_TOOLS,
    results=measured.AGENT_RESULTS,
    user_gap=_APPROVAL_GAP,
    user_ratio=0.2,
)
_SUBAGENT: Final = _Habits(
    tools=measured.SUBAGENT_TOOLS, results=measured.SUBAGENT_RESULTS, user_ratio=0.0
)


@dataclass(slots=True)
class _Workspace:
    """The files of a project: reading one again gives the same text again."""

    dice: Random
    files: dict[str, str] = field(default_factory=dict)

    def read(self, size: Quantiles, seen: list[str]) -> tuple[str, str]:
        """A path and its content: one that was read before, or a new one."""
        if seen and self.dice.random() < measured.REREAD_RATIO:
            path = self.dice.choice(seen)
        else:
            path = f"src/part_{len(self.files)}.py"
            tokens = size.draw(self.dice)
            self.files[path] = write_text(tokens, self.dice, kind="tool_result")
            seen.append(path)
        return path, self.files[path]


def coding_agent(dice: Random, count: int) -> Iterator[Conversation]:
    """Sessions of a coding agent that marks its prefix and its last message, for five minutes."""
    yield from _sessions("coding-agent", _CODING, dice, count)


def human_in_the_loop(dice: Random, count: int) -> Iterator[Conversation]:
    """The same agent, but every fifth step waits for somebody's approval."""
    yield from _sessions("human-in-the-loop", _APPROVED, dice, count)


def fan_out(dice: Random, count: int) -> Iterator[Conversation]:
    """A leading agent that sends out several sub-agents at once, twice; all wait for the last."""
    lead, worker = _client("multi-agent", dice), _client("multi-agent", dice)
    for number in range(count):
        started_at = _FIRST_AT + number * _SESSION_GAP
        draft = Draft(lead, f"multi-agent/{number}", started_at)
        workspace = _Workspace(dice)
        draft.ask(text_block(write_text(measured.AGENT_USER_TEXT.at(0.9), dice)))
        for _wave in range(2):
            _work(draft, _CODING, workspace, dice, calls=_STEPS_BETWEEN_WAVES)
            yield from _wave_of(draft, worker, workspace, dice)
        draft.answer(_words(dice, 0.9), seconds=measured.RESPONSE_SECONDS.draw(dice))
        yield draft.finish()


def _sessions(name: str, habits: _Habits, dice: Random, count: int) -> Iterator[Conversation]:
    client = _client(name, dice)
    for number in range(count):
        day, slot = divmod(number, 4)
        draft = Draft(client, f"{name}/{number}", _FIRST_AT + day * _DAY + slot * _SESSION_GAP)
        draft.ask(text_block(write_text(measured.AGENT_USER_TEXT.draw(dice), dice)))
        calls = measured.AGENT_CALLS.draw_count(dice)
        _work(draft, habits, _Workspace(dice), dice, calls=calls - 1)
        draft.answer(_words(dice, 0.9), seconds=measured.RESPONSE_SECONDS.draw(dice))
        yield draft.finish()


def _client(name: str, dice: Random) -> Client:
    tools = [_tool(tool, dice) for tool in _TOOL_NAMES]
    return Client(
        model=_MODEL,
        task_type=name,
        tools=tools,
        system=[
            text_block(f"You are the agent of {name}."),
            text_block(write_text(_SYSTEM_TOKENS, dice)),
        ],
        markers=("system.-1", "messages.-1.content.-1"),
        ttl="5m",
        interactive=name != "multi-agent",
    )


def _tool(name: str, dice: Random) -> dict[str, Any]:
    return {
        "name": name,
        "description": write_text(_TOOL_TOKENS, dice),
        "input_schema": {"type": "object", "properties": {"argument": {"type": "string"}}},
    }


def _work(
    draft: Draft, habits: _Habits, workspace: _Workspace, dice: Random, *, calls: int
) -> None:
    """So many calls, each followed by its tools' results or by what a person says."""
    seen: list[str] = []
    for _call in range(calls):
        seconds = measured.RESPONSE_SECONDS.draw(dice)
        if dice.random() < habits.user_ratio:
            draft.answer(_words(dice), seconds=seconds)
            reply = write_text(measured.AGENT_USER_TEXT.draw(dice), dice)
            draft.ask(text_block(reply), after=habits.user_gap.draw(dice))
            continue
        spoken = [_words(dice)] if dice.random() < measured.SPOKEN_RATIO else []
        pairs = list(_tool_calls(draft, habits, workspace, seen, dice))
        draft.answer(*spoken, *(use for use, _ in pairs), seconds=seconds)
        results = (result_block(use, result) for use, result in pairs)
        draft.ask(*results, after=measured.AGENT_TOOL_GAP.draw(dice))


def _tool_calls(
    draft: Draft, habits: _Habits, workspace: _Workspace, seen: list[str], dice: Random
) -> Iterator[tuple[dict[str, Any], str]]:
    for _use in range(int(measured.TOOLS_PER_CALL.draw(dice))):
        name = habits.tools.draw(dice)
        size = habits.results[name]
        if name == "Read":
            path, content = workspace.read(size, seen)
            yield draft.use(name, {"argument": path}), content
            continue
        argument = write_text(measured.AGENT_TOOL_INPUT.draw(dice), dice, kind="tool_use")
        result = write_text(size.draw(dice), dice, kind="tool_result")
        yield draft.use(name, {"argument": argument}), result


def _wave_of(
    draft: Draft, worker: Client, workspace: _Workspace, dice: Random
) -> Iterator[Conversation]:
    """Sub-agents whose first calls leave at the same instant; the lead resumes after the last."""
    number = int(_FAN_OUT.draw(dice))
    tasks = [write_text(measured.SUBAGENT_TASK.draw(dice), dice) for _ in range(number)]
    uses = [draft.use("Task", {"argument": task}) for task in tasks]
    draft.answer(*uses, seconds=measured.RESPONSE_SECONDS.draw(dice))
    began_at, agents = draft.started_at + draft.now, []
    for use, task in zip(uses, tasks, strict=True):
        name = f"{draft.id}/agent-{use['id'].rpartition('_')[2]}"
        agent = Draft(worker, name, began_at, agent_id=use["id"])
        agent.ask(text_block(task))
        _work(agent, _SUBAGENT, workspace, dice, calls=measured.SUBAGENT_CALLS.draw_count(dice) - 1)
        agent.answer(_words(dice, 0.95), seconds=measured.RESPONSE_SECONDS.draw(dice))
        agents.append(agent)
    slowest = max(agent.now for agent in agents)
    reports = (result_block(use, write_text(1_200, dice, kind="tool_result")) for use in uses)
    draft.ask(*reports, after=slowest)
    yield from (agent.finish() for agent in agents)


def _words(dice: Random, probability: float | None = None) -> dict[str, Any]:
    sizes = measured.TEXT_BEFORE_TOOL
    tokens = sizes.draw(dice) if probability is None else sizes.at(probability)
    return text_block(write_text(tokens, dice))
