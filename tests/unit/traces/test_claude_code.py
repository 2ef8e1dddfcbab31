"""Transcripts of Claude Code: the pitfalls of the format, one by one (API facts, section 9.2)."""

from __future__ import annotations

import json
import os

from farthing.traces.claude_code import PROGRESS_SOURCE, default_folders
from farthing.traces.format import is_billed
from tests.unit.traces.recorded import (
    Transcript,
    read,
    session,
    text,
    tool_result,
    tool_use,
    usage,
)


def billed(found):
    return [call for conversation in found for call in conversation.calls if is_billed(call)]


def outputs(found):
    return [json.loads(bytes(call.usage))["output_tokens"] for call in billed(found)]


def roles(conversation):
    return [message.role for message in conversation.messages]


def blocks(conversation, index):
    return json.loads(bytes(conversation.messages[index].content))


def test_lines_of_one_answer_are_one_call(tmp_path):
    made = Transcript()
    made.user("hi", 0)
    made.answer("msg_1", [text("a"), text("b"), text("c")], usage(output=5), 1)

    found, _ = read(made.write(tmp_path))

    assert len(billed(found)) == 1
    assert [block["text"] for block in blocks(found[0], 1)] == ["a", "b", "c"]


def test_of_partial_outputs_the_largest_counts(tmp_path):
    made = Transcript()
    made.user("hi", 0)
    for count in (1, 222, 7):
        made.answer("msg_1", [text("a")], usage(output=count), 1)

    found, _ = read(made.write(tmp_path))

    assert outputs(found) == [222]


def test_the_result_of_the_first_tool_between_two_lines_of_an_answer_does_not_cut_it(tmp_path):
    made = Transcript()
    made.user("hi", 0)
    made.answer("msg_1", [tool_use("t1", "Read")], usage(output=1), 1)
    made.user([tool_result("t1", "one")], 2)
    made.answer("msg_1", [tool_use("t2", "Read")], usage(output=9), 2)
    made.user([tool_result("t2", "two")], 3)

    found, _ = read(made.write(tmp_path))

    assert roles(found[0]) == ["user", "assistant", "user"]
    assert [block["id"] for block in blocks(found[0], 1)] == ["t1", "t2"]
    assert [block["tool_use_id"] for block in blocks(found[0], 2)] == ["t1", "t2"]


def test_synthetic_answers_and_error_messages_cost_nothing(tmp_path):
    made = Transcript()
    made.user("hi", 0)
    made.answer("msg_1", [text("limit reached")], usage(output=1), 1, model="<synthetic>")
    made.answer("msg_2", [text("API error")], usage(output=1), 2, isApiErrorMessage=True)
    made.answer("msg_3", [text("ho")], usage(output=3), 3)

    found, _ = read(made.write(tmp_path))

    assert outputs(found) == [3]
    assert roles(found[0]) == ["user", "assistant"]


def test_a_fork_that_copies_lines_under_new_request_ids_is_billed_once(tmp_path):
    parent = session("s1", turns=3)
    fork = session("s2", turns=4, ids="s1")
    for line in fork.lines:
        line["requestId"] = "req_new"
    for age, made in enumerate((parent, fork)):
        os.utime(made.write(tmp_path), (age, age))

    found, _ = read(tmp_path)

    assert [len(conversation.calls) for conversation in found] == [3, 4]
    assert [call.message_id for call in billed(found)] == [f"msg_s1_{n}" for n in range(4)]


def test_a_copy_that_knows_more_output_adds_only_the_rest(tmp_path):
    for age, (name, count) in enumerate((("a", 3), ("b", 100), ("c", 40))):
        made = Transcript(session=name)
        made.user("hi", 0)
        made.answer("msg_1", [text("x")], usage(output=count), 1)
        os.utime(made.write(tmp_path), (age, age))

    found, _ = read(tmp_path)

    assert [conversation.calls[0].late_output_tokens for conversation in found] == [0, 97, 0]
    assert outputs(found) == [3]


def test_a_sub_agent_in_its_own_file_is_a_conversation_of_its_session(tmp_path):
    session("s1").write(tmp_path)
    agent = Transcript(session="s1")
    agent.user("search", 5, isSidechain=True, agentId="a1")
    agent.answer("msg_agent", [text("found")], usage(output=2), 6, isSidechain=True, agentId="a1")
    agent.write(tmp_path / "s1" / "subagents", "agent-a1.jsonl")

    found, _ = read(tmp_path)

    assert [(c.session_id, c.agent_id, c.segment) for c in found] == [
        ("s1", None, "start"),
        ("s1", "a1", "subagent"),
    ]


def test_a_side_chain_that_replays_its_parents_messages_is_not_billed_again(tmp_path):
    session("s1").write(tmp_path)
    replay = session("s1")
    for line in replay.lines:
        line["isSidechain"] = True
    replay.write(tmp_path / "s1" / "subagents", "agent-btw.jsonl")

    found, _ = read(tmp_path)

    assert len(billed(found)) == 3
    assert all(call.replayed for call in found[1].calls)


def test_side_chains_inside_a_file_are_told_apart_by_their_parents(tmp_path):
    made = Transcript()
    made.user("go", 0)
    tips = {}
    for name in ("a", "b"):
        tips[name] = made.user(f"task {name}", 1, isSidechain=True, parentUuid=None)
    for name in ("b", "a"):
        made.answer(
            f"msg_{name}", [text(name)], usage(), 2, isSidechain=True, parentUuid=tips[name]
        )
    made.answer("msg_main", [text("done")], usage(), 3)

    found, _ = read(made.write(tmp_path))

    said = {c.calls[0].message_id: bytes(c.messages[0].content) for c in found}
    assert said == {"msg_a": b'"task a"', "msg_b": b'"task b"', "msg_main": b'"go"'}


def progress(made: Transcript, agent: str, kind: str, message: dict, seconds: float) -> None:
    inner = {"type": kind, "message": message, "timestamp": None, "uuid": "u"}
    data = {"type": "agent_progress", "message": inner, "agentId": agent, "prompt": "x"}
    made.add("progress", seconds, data=data, parentToolUseID="toolu_parent")


def with_progress() -> Transcript:
    made = session("s1")
    progress(made, "a1", "user", {"role": "user", "content": "search"}, 5)
    answer = {"id": "msg_agent", "role": "assistant", "model": "m", "usage": usage(output=4)}
    progress(made, "a1", "assistant", {**answer, "content": [text("x")]}, 6)
    return made


def test_a_sub_agent_without_a_file_is_known_from_progress_and_marked(tmp_path):
    with_progress().write(tmp_path)

    found, _ = read(tmp_path)

    assert [c.source for c in found] == ["claude-code", PROGRESS_SOURCE]
    assert found[1].parent_tool_use_id == "toolu_parent"


def test_progress_of_a_sub_agent_with_a_file_is_left_to_the_file(tmp_path):
    with_progress().write(tmp_path)
    agent = Transcript(session="s1")
    agent.user("search", 5)
    agent.answer("msg_agent", [text("x")], usage(output=40), 6)
    agent.write(tmp_path, "agent-a1.jsonl")

    found, _ = read(tmp_path)

    assert [c.source for c in found] == ["claude-code", "claude-code"]
    assert outputs(found)[-1] == 40


def test_compaction_starts_a_new_stretch_with_the_summary(tmp_path):
    made = session("s1", turns=2)
    made.add("system", 50, subtype="compact_boundary", content="Conversation compacted")
    made.user("This session continues: summary", 51, isCompactSummary=True)
    made.answer("msg_after", [text("go on")], usage(write=9_000, output=1), 53)

    found, _ = read(made.write(tmp_path))

    assert [(c.segment, c.ended_by) for c in found] == [
        ("start", "compaction"),
        ("after-compaction", "end"),
    ]
    assert [len(c.calls) for c in found] == [2, 1]
    assert len(found[1].messages) == 2
    assert found[0].thread_id == found[1].thread_id


def test_a_summary_without_a_boundary_record_is_a_compaction_too(tmp_path):
    made = session("s1", turns=2)
    made.user("summary", 51, isCompactSummary=True)
    made.answer("msg_after", [text("go on")], usage(write=9_000), 53)

    found, _ = read(made.write(tmp_path))

    assert [c.segment for c in found] == ["start", "after-compaction"]


def test_a_microcompaction_clears_the_results_it_names_and_keeps_the_rest(tmp_path):
    made = session("s1", turns=2)
    cleared = {"compactedToolIds": ["toolu_s1_0"]}
    made.add("system", 50, subtype="microcompact_boundary", microcompactMetadata=cleared)
    made.answer("msg_after", [text("go on")], usage(write=9_000), 53)

    found, _ = read(made.write(tmp_path))

    assert [c.segment for c in found] == ["start", "after-microcompaction"]
    results = [b["content"] for i in (2, 4) for b in blocks(found[1], i)]
    assert results == ["[Old tool result content cleared]", "line 1\n" * 300]
    assert blocks(found[0], 2)[0]["content"] == "line 0\n" * 300


def rewound(prompt_after: int) -> Transcript:
    made = Transcript()
    first = made.user("first question", 0)
    tip = made.answer("msg_1", [text("one")], usage(write=20_000, output=1), 1)
    del first
    made.user("second question", 2)
    made.answer("msg_2", [text("two")], usage(read=20_000, write=5_000, output=1), 3)
    made.user("another second question", 10, parentUuid=tip)
    made.answer("msg_3", [text("three")], usage(read=20_000, write=prompt_after - 20_000), 11)
    return made


def test_a_rewind_starts_again_from_what_was_kept(tmp_path):
    found, _ = read(rewound(20_100).write(tmp_path))

    assert [c.segment for c in found] == ["start", "after-rewind"]
    said = [bytes(m.content) for m in found[1].messages if m.role == "user"]
    assert said == [b'"first question"', b'"another second question"']


def test_a_queued_prompt_that_only_looks_like_a_rewind_is_none(tmp_path):
    found, _ = read(rewound(26_000).write(tmp_path))

    assert [c.segment for c in found] == ["start"]


def test_two_records_on_one_line_are_both_read(tmp_path):
    made = session("s1", turns=1)
    glued = made.dump().replace(b"\n", b"", 1)
    path = tmp_path / "s1.jsonl"
    path.write_bytes(glued)

    found, state = read(path)

    assert len(billed(found)) == 1
    assert state.problems.count("glued") == 1


def test_records_that_say_nothing_are_skipped_in_silence(tmp_path):
    made = session("s1")
    made.lines.insert(0, {"type": "summary", "summary": "x", "leafUuid": "y"})
    made.add("file-history-snapshot", 1, messageId="m", snapshot={})
    made.add("progress", 1, data={"type": "bash_progress", "output": "x"})

    found, state = read(made.write(tmp_path))

    assert len(billed(found)) == 3
    assert state.problems.by_cause == {}


def test_times_are_from_when_the_request_could_be_sent(tmp_path):
    made = Transcript()
    made.user("hi", 0)
    made.answer("msg_1", [tool_use("t1", "Read")], usage(), 4)
    made.user([tool_result("t1", "x")], 10)
    made.answer("msg_2", [text("a"), text("b")], usage(), 15)

    found, _ = read(made.write(tmp_path))

    assert [(call.at, call.done_at) for call in found[0].calls] == [(0.0, 4.0), (10.0, 15.0)]
    assert found[0].started_at == "2026-10-10T09:00:00.000+00:00"


def test_what_the_transcript_hides_is_padded(tmp_path):
    made = Transcript()
    made.user("x" * 1000, 0)
    made.answer("msg_1", [text("a")], usage(uncached=5, write=30_000), 4)

    found, _ = read(made.write(tmp_path))

    assert 29_600 < found[0].prefix_pad_tokens < 29_800
    assert found[0].tools_inferred


def test_the_ttl_is_the_one_most_tokens_were_written_for(tmp_path):
    ttls = {}
    for name, counts in {
        "five": usage(write=10),
        "hour": usage(write=5, write_1h=10),
        "none": usage(uncached=10),
    }.items():
        made = Transcript(session=name)
        made.user("hi", 0)
        made.answer(f"msg_{name}", [text("a")], counts, 1)
        found, _ = read(made.write(tmp_path))
        ttls[name] = found[0].ttl

    assert ttls == {"five": "5m", "hour": "1h", "none": None}


def test_sessions_run_by_a_program_are_not_interactive(tmp_path):
    answers = {}
    for entrypoint in ("cli", "sdk-py"):
        made = session(entrypoint)
        made.lines[0]["entrypoint"] = entrypoint
        found, _ = read(made.write(tmp_path))
        answers[entrypoint] = found[0].interactive

    assert answers == {"cli": True, "sdk-py": False}


def test_an_answer_without_usage_is_a_call_with_unknown_tokens(tmp_path):
    made = Transcript()
    made.user("hi", 0)
    made.answer("msg_1", [text("a")], None, 1)
    made.answer("msg_2", [text("a")], {"input_tokens": -5}, 2)

    found, state = read(made.write(tmp_path))

    assert [bytes(call.usage) for call in billed(found)] == [b"", b""]
    assert (state.problems.count("no_usage"), state.problems.count("bad_usage")) == (1, 1)


def test_folders_follow_the_clients_settings(tmp_path):
    for name in (".claude/projects", ".config/claude/projects", "one/projects", "two/projects"):
        (tmp_path / name).mkdir(parents=True)

    given = {"CLAUDE_CONFIG_DIR": f"{tmp_path}/one, {tmp_path}/two,{tmp_path}/none"}

    assert default_folders({}, tmp_path) == [
        tmp_path / ".claude/projects",
        tmp_path / ".config/claude/projects",
    ]
    assert default_folders(given, tmp_path) == [
        tmp_path / "one/projects",
        tmp_path / "two/projects",
    ]


def test_the_same_file_named_twice_is_read_once(tmp_path):
    path = session("s1").write(tmp_path)
    (tmp_path / "link.jsonl").symlink_to(path)

    found, state = read(tmp_path, path)

    assert len(billed(found)) == 3
    assert len(state.files) == 1
