"""``farthing loops scan``: text for people, JSON for programs, one line for mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from farthing.cli.main import main
from farthing.traces.codec import TraceWriter
from tests.unit.traces.test_loops import looping, recorded


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "mine.jsonl.gz"
    with TraceWriter(path) as writer:
        writer.write(recorded(looping(10)))
    return path


def test_loops_are_listed_with_what_they_wasted(trace, capsys):
    assert main(["loops", "scan", str(trace)]) == 0

    out = capsys.readouterr().out
    assert "1 loop in 1 of 1 conversations: 9 wasted calls cost $0.0540" in out
    assert "would have refused 4 of them, $0.0240." in out
    assert "exact cycle   ×10  read" in out
    assert "page" not in out


def test_json_has_exact_dollars_and_the_evidence(trace, capsys):
    assert main(["loops", "scan", str(trace), "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    assert document["totals"] == {
        "conversations": 1,
        "looping_conversations": 1,
        "loops": 1,
        "wasted_calls": 9,
        "wasted_usd": "0.054",
        "refused_calls": 4,
        "refused_usd": "0.024",
        "unpriced_calls": 0,
    }
    (loop,) = document["loops"]
    assert loop["finding"]["evidence"][0]["tool"] == "read"


def test_calls_without_a_price_are_said(tmp_path, capsys):
    path = tmp_path / "other.jsonl.gz"
    conversation = recorded(looping(4))
    with TraceWriter(path) as writer:
        writer.write(msgspec.structs.replace(conversation, model="nobodys-model"))

    assert main(["loops", "scan", str(path)]) == 0
    out = capsys.readouterr().out
    assert "3 wasted calls have no usage or no price." in out
    assert "$0" not in out
    assert "3 wasted calls of unknown cost; the guard would have refused" in out


def test_limits_and_poll_tools_are_options(trace, capsys):
    assert main(["loops", "scan", str(trace), "--poll-tool", "read"]) == 0
    assert "0 loops" in capsys.readouterr().out
    assert main(["loops", "scan", str(trace), "--repeats", "1"]) == 2
    assert "repeats=1" in capsys.readouterr().err


def test_what_could_not_be_read_is_said(trace, tmp_path, capsys):
    words = ["loops", "scan", str(trace), str(tmp_path / "none.jsonl")]
    assert main(words) == 0
    assert "1 × path does not exist" in capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["problems"] == {"missing": 1}


def test_paths_may_stand_behind_options_too(trace, capsys):
    assert main(["loops", "scan", "--repeats", "4", str(trace)]) == 0
    assert "1 loop in 1 of 1 conversations" in capsys.readouterr().out


def test_nothing_to_read_is_exit_code_1_and_no_transcripts_is_2(tmp_path, capsys, monkeypatch):
    (tmp_path / "empty.jsonl").write_text("")
    assert main(["loops", "scan", str(tmp_path / "empty.jsonl")]) == 1

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert main(["loops", "scan"]) == 2
    assert "name a file or folder" in capsys.readouterr().err
