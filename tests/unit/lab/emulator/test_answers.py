"""What the emulated model says: scripts, rules, the seeded agent, recorded sizes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from farthing.errors import ConfigError
from farthing.lab.emulator.script import Script, load_lines
from tests.unit.lab.emulator.talking import NEW, Client, long_text, user

TOOLS = [
    {
        "name": "read",
        "input_schema": {
            "type": "object",
            "properties": {"path": {"type": "string"}, "limit": {"type": "integer"}},
            "required": ["path"],
        },
    },
    {"name": "run", "input_schema": {"type": "object"}},
]


def text_of(answer: dict[str, Any]) -> str:
    return "".join(block.get("text", "") for block in answer["content"])


def test_script_lines_are_served_in_order_and_then_the_agent_speaks() -> None:
    client = Client()
    client.emulator.load_script([{"content": "one"}, {"content": "two"}])
    assert [text_of(client.ask()) for _ in range(2)] == ["one", "two"]
    assert client.emulator.script.unused == 0
    assert text_of(client.ask()) not in ("one", "two")


def test_a_line_waits_for_the_request_it_is_meant_for() -> None:
    client = Client()
    client.emulator.load_script(
        [
            {"when": {"contains": "weather"}, "content": "rain"},
            {"when": {"has_tools": True, "turn": 0}, "content": "tools"},
            {"content": "any"},
        ]
    )
    assert text_of(client.ask()) == "any"
    assert text_of(client.ask(messages=[user("the weather?")])) == "rain"
    assert text_of(client.ask(tools=TOOLS)) == "tools"


@pytest.mark.parametrize(
    ("when", "fits"),
    [
        ({"contains": "hello"}, True),
        ({"contains": "bye"}, False),
        ({"system_contains": "brief"}, True),
        ({"model": "claude-opus-4"}, True),
        ({"model": "claude-haiku"}, False),
        ({"has_results": False}, True),
        ({"turn": 1}, False),
        ({"header": {"x-app": "cli"}}, True),
        ({"header": {"x-app": "web"}}, False),
    ],
    ids=str,
)
def test_conditions(when: dict[str, Any], fits: bool) -> None:
    client = Client()
    client.emulator.load_rules([{"when": when, "content": "matched"}])
    answer = client.ask({"x-app": "cli"}, system="be brief")
    assert (text_of(answer) == "matched") is fits


def test_tool_results_are_seen_before_a_system_message() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "run", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "done"}
    messages = [
        user("run it"),
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
        {"role": "system", "content": "few tokens left"},
    ]
    client = Client()
    client.emulator.load_rules([{"when": {"has_results": True}, "content": "matched"}])
    answer = client.ask(model="claude-opus-4-8", tools=TOOLS, messages=messages)
    assert text_of(answer) == "matched"


def test_rules_answer_as_often_as_they_fit_or_as_they_are_told() -> None:
    client = Client()
    client.emulator.load_rules([{"content": "first", "times": 2}, {"content": "then"}])
    assert [text_of(client.ask()) for _ in range(5)] == ["first", "first", "then", "then", "then"]


RECORDED = [{"conversation": "c", "content": f"turn {n}"} for n in range(3)]


def test_a_named_turn_is_served_whatever_the_history_looks_like() -> None:
    client = Client()
    client.emulator.load_script(RECORDED)
    for turn in (2, 0, 0, 1):
        headers = {"x-emulator-conversation": "c", "x-emulator-turn": str(turn)}
        assert text_of(client.ask(headers, messages=[user(f"rewritten {turn}")])) == f"turn {turn}"


def test_without_a_turn_header_a_conversation_goes_on_by_itself() -> None:
    client = Client()
    client.emulator.load_script(RECORDED)
    headers = {"x-emulator-conversation": "c"}
    assert [text_of(client.ask(headers)) for _ in range(3)] == ["turn 0", "turn 1", "turn 2"]


def test_scripted_tool_calls_get_an_id_and_a_stop_reason() -> None:
    client = Client()
    use = {"type": "tool_use", "name": "read", "input": {"path": "a"}}
    client.emulator.load_script([{"content": [use]}])
    answer = client.ask(tools=TOOLS)
    assert answer["stop_reason"] == "tool_use"
    assert answer["content"][0]["id"].startswith("toolu_")


def test_scripted_thinking_is_signed() -> None:
    client = Client()
    blocks = [{"type": "thinking", "thinking": ""}, {"type": "text", "text": "so"}]
    client.emulator.load_script([{"content": blocks, "thinking_tokens": 70}])
    answer = client.ask(model=NEW)
    assert answer["content"][0]["signature"]
    assert answer["usage"]["output_tokens_details"]["thinking_tokens"] == 70


def test_recorded_output_tokens_are_reported() -> None:
    client = Client()
    client.emulator.load_script([{"content": "x", "output_tokens": 777}])
    assert client.ask()["usage"]["output_tokens"] == 777


def test_a_line_may_fail_once() -> None:
    client = Client()
    client.emulator.load_script([{"fault": "status=529"}, {"content": "fine"}])
    assert client.refused()["status"] == 529
    assert text_of(client.ask()) == "fine"


@pytest.mark.parametrize(
    "line",
    [{"contents": "x"}, {"content": 7}, {"when": {"colour": "red"}}, {"fault": "boom"}],
    ids=str,
)
def test_a_bad_line_is_the_operators_error(line: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Script([line])


def test_scripts_are_jsonl_and_rules_may_be_a_list(tmp_path: Path) -> None:
    script, rules = tmp_path / "s.jsonl", tmp_path / "r.json"
    script.write_text('{"content": "a"}\n\n{"content": "b"}\n')
    rules.write_text('[{"content": "c"}]')
    assert [line["content"] for line in load_lines(script)] == ["a", "b"]
    assert load_lines(rules) == [{"content": "c"}]


@pytest.mark.parametrize("text", ["{", "[1]", "7"])
def test_an_unreadable_script_is_the_operators_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigError, match="not valid JSON"):
        load_lines(path)
    with pytest.raises(ConfigError, match="cannot read"):
        load_lines(tmp_path / "missing")


def told(client: Client, orders: str, **fields: Any) -> Any:
    return client.ask({"x-emulator-answer": orders}, **fields)


def test_the_agent_calls_tools_as_often_as_told_and_then_answers() -> None:
    client, messages = Client(), [user()]
    stops = []
    for _ in range(3):
        answer = told(client, "tools=2 parallel=2", tools=TOOLS, messages=messages)
        stops.append(answer["stop_reason"])
        calls = [block for block in answer["content"] if block["type"] == "tool_use"]
        done = [{"type": "tool_result", "tool_use_id": one["id"]} for one in calls]
        messages += [{"role": "assistant", "content": answer["content"]}]
        messages += [{"role": "user", "content": done}] if done else []
    assert stops == ["tool_use", "tool_use", "end_turn"]


def test_the_agent_fills_required_members_of_a_tools_schema() -> None:
    answer = told(Client(), "tools=1", tools=TOOLS)
    (call,) = [block for block in answer["content"] if block["type"] == "tool_use"]
    assert list(call["input"]) == ["path"]


def test_a_looping_agent_repeats_the_same_call() -> None:
    client, messages, calls = Client(), [user()], []
    for _ in range(4):
        answer = told(client, "loop", tools=TOOLS, messages=messages)
        call = answer["content"][-1]
        calls.append((call["name"], call["input"]))
        result = {"type": "tool_result", "tool_use_id": call["id"], "content": "no"}
        messages += [{"role": "assistant", "content": answer["content"]}]
        messages += [{"role": "user", "content": [result]}]
    assert len({str(call) for call in calls}) == 1


@pytest.mark.parametrize("tokens", [10, 500, 5000])
def test_the_agent_says_as_much_as_told(tokens: int) -> None:
    usage = told(Client(), f"output={tokens}", max_tokens=9000)["usage"]
    assert usage["output_tokens"] == tokens


def test_orders_may_stand_in_the_users_text() -> None:
    answer = Client().ask(messages=[user("please [[emulator: output=77]]")])
    assert answer["usage"]["output_tokens"] == 77


def test_max_tokens_cuts_the_answer() -> None:
    answer = told(Client(), "output=500", max_tokens=100)
    assert (answer["stop_reason"], answer["usage"]["output_tokens"]) == ("max_tokens", 100)


def test_a_call_that_does_not_fit_is_left_out() -> None:
    answer = told(Client(), "tools=1", tools=TOOLS, max_tokens=3)
    assert answer["stop_reason"] == "max_tokens"
    assert all(block["type"] != "tool_use" for block in answer["content"])


def test_a_stop_sequence_ends_the_text_and_is_named() -> None:
    client = Client()
    client.emulator.load_script([{"content": "one STOP two"}])
    answer = client.ask(stop_sequences=["STOP", "two"])
    assert (answer["stop_reason"], answer["stop_sequence"]) == ("stop_sequence", "STOP")
    assert text_of(answer) == "one "


def test_a_refusal_is_served_with_its_details() -> None:
    answer = told(Client(), "stop=refusal")
    assert answer["stop_reason"] == "refusal"
    assert answer["stop_details"]["category"] == "cyber"


def test_structured_output_fits_its_schema() -> None:
    schema = {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "kind": {"enum": ["a", "b"]},
            "parts": {"type": "array", "items": {"type": "number"}, "minItems": 2},
            "ok": {"type": "boolean"},
            "none": {"type": "null"},
            "either": {"anyOf": [{"const": 7}]},
        },
        "required": ["title", "kind", "parts", "ok", "none", "either"],
    }
    form = {"format": {"type": "json_schema", "schema": schema}}
    value = json.loads(text_of(Client().ask(output_config=form)))
    assert set(value) == set(schema["required"])
    assert value["kind"] in "ab"
    assert value["either"] == 7
    assert len(value["parts"]) == 2


@pytest.mark.parametrize(
    ("choice", "names"), [({"type": "tool", "name": "run"}, {"run"}), ({"type": "none"}, set())]
)
def test_tool_choice_is_obeyed(choice: dict[str, Any], names: set[str]) -> None:
    answer = told(Client(), "", tools=TOOLS, tool_choice=choice)
    assert {b["name"] for b in answer["content"] if b["type"] == "tool_use"} == names


def test_the_same_seed_says_the_same_and_another_seed_something_else() -> None:
    def said(seed: int) -> list[str]:
        client = Client(seed=seed)
        return [text_of(client.ask(messages=[user(f"q{n}")])) for n in range(5)]

    assert said(1) == said(1) != said(2)


def test_sizes_by_header_are_the_prompt() -> None:
    usage = Client().ask({"x-emulator-sizes": "5000,123"}, system=[long_text(10)])["usage"]
    assert usage["cache_creation_input_tokens"] == 5000
    assert usage["input_tokens"] == 123


def test_sizes_that_are_no_numbers_are_refused() -> None:
    Client().refused({"x-emulator-sizes": "many"})


def test_recorded_prompt_tokens_are_met_turn_by_turn() -> None:
    client = Client()
    totals = [40_000, 41_000, 45_500]
    client.emulator.load_script(
        [{"conversation": "c", "content": "ok", "prompt_tokens": total} for total in totals]
    )
    headers, messages, read = {"x-emulator-conversation": "c"}, [user("one")], 0
    for total in totals:
        read, written, _, rest = client_figures(client, headers, messages)
        assert read + written + rest == total
        messages = [*messages, {"role": "assistant", "content": "ok"}, user(f"after {total}")]
    assert read == 41_000


def client_figures(client: Client, headers: dict[str, str], messages: Any) -> tuple[int, ...]:
    usage = client.ask(headers, messages=messages, cache_control={"type": "ephemeral"})["usage"]
    return (
        usage["cache_read_input_tokens"],
        usage["cache_creation"]["ephemeral_5m_input_tokens"],
        usage["cache_creation"]["ephemeral_1h_input_tokens"],
        usage["input_tokens"],
    )


def test_a_rewritten_history_keeps_the_sizes_of_what_is_left() -> None:
    client = Client()
    client.emulator.load_script(
        [
            {"conversation": "c", "content": "ok", "prompt_tokens": total}
            for total in (9_000, 20_000)
        ]
    )
    headers = {"x-emulator-conversation": "c"}
    big, small = user("with " * 1000), user("when " * 100)
    first = client.ask(headers, messages=[big, small])["usage"]["input_tokens"]
    second = client.ask(headers, messages=[small])["usage"]["input_tokens"]
    assert first == 9_000
    assert 700 < second < 1_000
