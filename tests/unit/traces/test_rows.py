"""Research rows: one conversation a line, one turn per answer."""

from __future__ import annotations

import json

from farthing.traces.format import Outcome, is_billed
from tests.unit.traces.recorded import read, text, usage


def row(identity="set/one#0", *, turns=2, meta=None, **more):
    messages = []
    for turn in range(turns):
        messages.append({"role": "user", "content": [text(f"question {turn}")]})
        messages.append({"role": "assistant", "content": [text(f"answer {turn}")]})
    return {
        "id": identity,
        "source": "set",
        "task_type": "coding-agent",
        "model": "claude-opus-4-8",
        "started_at": "2026-10-10T09:00:00+00:00",
        "system": "be brief",
        "tools": [{"name": "Read"}],
        "messages": messages,
        "turns": [
            {
                "at": 10.0 * turn,
                "done_at": 10.0 * turn + 3,
                "usage": usage(uncached=10, output=turn),
                "message_id": f"{identity}-{turn}",
                "replayed": False,
            }
            for turn in range(turns)
        ],
        "outcome": {"reward": 1.0},
        "meta": meta or {},
        **more,
    }


def written(folder, *rows):
    path = folder / "rows.jsonl"
    path.write_text("\n".join(json.dumps(one) for one in rows))
    return path


def test_each_turn_is_a_call_on_all_messages_before_its_answer(tmp_path):
    found, state = read(written(tmp_path, row()))

    assert state.kinds == {"rows": 1}
    assert [call.prompt_messages for call in found[0].calls] == [1, 3]
    assert [call.at for call in found[0].calls] == [0.0, 10.0]
    assert found[0].outcome == Outcome(reward=1.0)


def test_what_a_row_knows_of_its_client_is_kept(tmp_path):
    meta = {
        "session_id": "s9",
        "agent_id": "a1",
        "cc_version": "2.1.1",
        "user_key": "u",
        "cache_ttl": "1h",
        "hidden_prefix_tokens": 39_000,
        "segment_kind": "after-compaction",
    }
    found, _ = read(written(tmp_path, row(meta=meta)))

    one = found[0]
    assert (one.session_id, one.agent_id, one.client_version) == ("s9", "a1", "2.1.1")
    assert (one.user_key, one.ttl, one.prefix_pad_tokens) == ("u", "1h", 39_000)
    assert (one.segment, one.tools_inferred) == ("after-compaction", True)
    assert json.loads(bytes(one.meta)) == meta


def test_replayed_turns_are_not_billed(tmp_path):
    first, second = row(), row("set/one#1")
    second["turns"][0]["replayed"] = True

    found, _ = read(written(tmp_path, first, second))

    assert [sum(map(is_billed, one.calls)) for one in found] == [2, 1]


def test_a_row_and_its_copy_are_billed_once(tmp_path):
    found, _ = read(written(tmp_path, row(), row()))

    assert [sum(map(is_billed, one.calls)) for one in found] == [2, 0]


def test_a_turn_without_usage_or_time_is_a_call_without_them(tmp_path):
    bare = row(started_at=None)
    bare["turns"][0] = {"at": None, "done_at": None, "usage": None, "model": "gpt-4o"}

    found, _ = read(written(tmp_path, bare))

    call = found[0].calls[0]
    assert (bytes(call.usage), call.at, call.model) == (b"", None, "gpt-4o")


def test_an_id_without_a_number_is_its_own_thread(tmp_path):
    found, _ = read(written(tmp_path, row("set/two")))

    assert (found[0].id, found[0].thread_id) == ("set/two#0", "set/two")


def test_damaged_rows_are_counted_and_the_rest_is_read(tmp_path):
    path = written(tmp_path, row())
    path.write_bytes(path.read_bytes() + b'\n{"id":1}\n{"id":"x"\n')

    found, state = read(path)

    assert len(found) == 1
    assert (state.problems.count("foreign_record"), state.problems.count("malformed")) == (1, 1)
