"""The recorded transcripts and rows, against counts made another way.

The counting here shares no code with the importer: the standard library's JSON, one pass, one
dictionary by message id and request id, the largest output of each.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from farthing.pricing import catalog
from farthing.traces.audit import Audit, build_document
from farthing.traces.codec import TraceWriter
from farthing.traces.format import Conversation, is_billed
from farthing.traces.importing import Import, import_paths

FIELDS = {
    "uncached_tokens": "input_tokens",
    "cache_read_tokens": "cache_read_input_tokens",
    "output_tokens": "output_tokens",
}


def audited(*paths: Path) -> dict[str, Any]:
    state, audit = Import(), Audit(catalog())
    for conversation in import_paths(paths, state):
        audit.add(conversation)
    return build_document(audit, state)


def read(*paths: Path) -> list[Conversation]:
    return list(import_paths(paths, Import()))


def recorded_calls(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Every billed answer in the transcripts, by a reader that knows nothing of ours."""
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                try:
                    record = json.loads(line)
                except json.JSONDecodeError:
                    continue
                if record.get("type") != "assistant" or record.get("isApiErrorMessage"):
                    continue
                message = record["message"]
                if message["model"] == "<synthetic>":
                    continue
                key = message["id"], record["requestId"]
                known = best.get(key)
                if known is None or known["output_tokens"] < message["usage"]["output_tokens"]:
                    best[key] = message["usage"] | {"model": message["model"]}
    return best


def written_tokens(usages: list[dict[str, Any]]) -> tuple[int, int]:
    five = sum(usage["cache_creation"]["ephemeral_5m_input_tokens"] for usage in usages)
    hour = sum(usage["cache_creation"]["ephemeral_1h_input_tokens"] for usage in usages)
    return five, hour


@pytest.fixture(scope="module")
def transcripts(data_dir: Path) -> Path:
    return data_dir / "claude-code"


def test_the_audit_agrees_with_the_transcripts_to_the_token(transcripts):
    totals = audited(transcripts)["totals"]
    usages = list(recorded_calls(transcripts).values())

    assert totals["calls"] == len(usages) == 490
    for ours, theirs in FIELDS.items():
        assert totals[ours] == sum(usage[theirs] for usage in usages)
    written = (totals["cache_write_5m_tokens"], totals["cache_write_1h_tokens"])
    assert written == written_tokens(usages)


def test_the_audit_agrees_model_by_model(transcripts):
    expected = Counter[str]()
    for usage in recorded_calls(transcripts).values():
        expected[usage["model"]] += usage["cache_read_input_tokens"]

    groups = audited(transcripts)["by"]["model"]

    assert {group["key"]: group["cache_read_tokens"] for group in groups} == dict(expected)


def test_the_dollars_are_tokens_times_the_price_list(transcripts):
    # $/Mtok: in, write 5 m, write 1 h, read, out (provider's pricing page; no multipliers here)
    prices = {
        "claude-opus-4-5-20251101": (5, 6.25, 10, 0.5, 25),
        "claude-opus-4-6": (5, 6.25, 10, 0.5, 25),
        "claude-sonnet-4-5-20250929": (3, 3.75, 6, 0.3, 15),
        "claude-haiku-4-5-20251001": (1, 1.25, 2, 0.1, 5),
    }
    dollars = 0.0
    for usage in recorded_calls(transcripts).values():
        plain, five, hour, read_price, out = prices[usage["model"]]
        dollars += usage["input_tokens"] * plain + usage["output_tokens"] * out
        dollars += usage["cache_read_input_tokens"] * read_price
        dollars += usage["cache_creation"]["ephemeral_5m_input_tokens"] * five
        dollars += usage["cache_creation"]["ephemeral_1h_input_tokens"] * hour

    assert float(audited(transcripts)["totals"]["cost_usd"]) == pytest.approx(dollars / 1e6)


def test_every_recorded_transcript_is_read_but_for_one_line_of_two_records(transcripts):
    problems = audited(transcripts)["input"]["problems"]

    assert [(problem["cause"], problem["count"]) for problem in problems] == [("glued", 1)]


def test_reading_the_folder_twice_over_bills_nothing_twice(transcripts, tmp_path):
    for path in transcripts.glob("*.jsonl.gz"):
        (tmp_path / f"copy-{path.name}").write_bytes(path.read_bytes())

    once, twice = audited(transcripts), audited(transcripts, tmp_path)

    assert twice["totals"] == once["totals"] | {
        "estimated_missed_usd": twice["totals"]["estimated_missed_usd"]
    }
    assert twice["not_in_sums"]["replayed_calls"] == once["totals"]["calls"]


def test_a_trace_made_from_transcripts_gives_the_same_audit(transcripts, tmp_path):
    path = tmp_path / "all.jsonl.gz"
    with TraceWriter(path) as writer:
        for conversation in read(transcripts):
            writer.write(conversation)

    direct, through = audited(transcripts), audited(path)

    assert {**through, "input": None} == {**direct, "input": None}


def test_our_conversations_are_those_the_data_set_made_of_the_same_transcripts(
    data_dir, transcripts
):
    ours: dict[str | None, dict[str | None, Any]] = defaultdict(dict)
    for conversation in read(transcripts):
        for call in filter(is_billed, conversation.calls):
            ours[conversation.session_id][call.message_id] = json.loads(bytes(call.usage))
    theirs: dict[str | None, dict[str | None, Any]] = defaultdict(dict)
    for conversation in read(data_dir / "traces" / "claude-code-main.jsonl.gz"):
        for call in filter(is_billed, conversation.calls):
            theirs[conversation.session_id][call.message_id] = json.loads(bytes(call.usage))

    shared = ours.keys() & theirs.keys()
    inputs = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    assert len(shared) >= 10
    for session in shared:
        for message_id in ours[session].keys() & theirs[session].keys():
            mine, other = ours[session][message_id], theirs[session][message_id]
            assert [mine[name] for name in inputs] == [other[name] for name in inputs]


@pytest.mark.parametrize(
    ("name", "conversations", "calls"),
    [
        ("claude-code-main", 246, 11_040),
        ("claude-code-subagents", 79, 931),
        ("swe-bench-mini", 173, 6_927),
        ("tau2-bench", 259, 2_876),
        ("tau-bench-airline", 156, 1_897),
    ],
)
def test_rows_are_all_there_and_replayed_turns_are_not_billed(data_dir, name, conversations, calls):
    found = read(data_dir / "traces" / f"{name}.jsonl.gz")

    assert len(found) == conversations
    assert sum(is_billed(call) for one in found for call in one.calls) == calls


def test_rows_agree_with_their_usage_to_the_token(data_dir):
    path = data_dir / "traces" / "claude-code-main.jsonl.gz"
    sums = Counter[str]()
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            for turn in json.loads(line)["turns"]:
                if not turn["replayed"]:
                    sums.update({k: v for k, v in turn["usage"].items() if isinstance(v, int)})

    totals = audited(path)["totals"]

    assert {ours: totals[ours] for ours in FIELDS} == {
        ours: sums[theirs] for ours, theirs in FIELDS.items()
    }


def test_the_causes_of_misses_are_those_the_recording_was_measured_to_have(data_dir):
    document = audited(data_dir / "traces" / "claude-code-main.jsonl.gz")
    misses = {miss["cause"]: miss for miss in document["misses"]}
    dollars = {cause: float(miss["estimated_usd"]) for cause, miss in misses.items()}
    spent = sum(
        float(part["cost_usd"]) for part in document["components"] if part["name"] != "output"
    )

    # measured on the source of this data by others: 5-60 min 9.5 %, over 1 h 3.1 %, breaks 5.9 %
    assert 0.05 < dollars["expired after 5-60 min"] / spent < 0.12
    assert 0.015 < dollars["expired after more than 1 h"] / spent < 0.05
    assert 0.03 < dollars["prefix changed inside the TTL"] / spent < 0.09


def test_files_that_are_no_recordings_are_named_and_skipped(data_dir):
    document = audited(data_dir / "routing")

    assert document["totals"]["calls"] == 0
    assert [problem["cause"] for problem in document["input"]["problems"]] == ["foreign_file"]
