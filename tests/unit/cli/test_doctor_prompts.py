"""``farthing doctor prompts`` as a person runs it."""

from __future__ import annotations

import json

import pytest

from farthing.cli.main import main
from farthing.traces.codec import TraceWriter
from tests.unit.traces.audit.test_culprits import RULES, talk
from tests.unit.traces.recorded import session


def trace(folder, *conversations):
    path = folder / "trace.jsonl"
    with TraceWriter(path) as writer:
        for conversation in conversations:
            writer.write(conversation)
    return path


def test_culprits_are_listed_by_dollars_with_what_mends_them(tmp_path, capsys):
    system = "{} {}".format
    path = trace(tmp_path, *(talk(n, system(f"12:{n:02}", RULES)) for n in range(10, 14)))
    assert main(["doctor", "prompts", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "Tools and system prompts compared between conversations: 3" in shown
    assert "shop system: a timestamp changes" in shown
    assert "repair.volatile_system" in shown


def test_the_same_for_programs(tmp_path, capsys):
    path = trace(tmp_path, talk(0), talk(1, f"{RULES} More rules."))
    assert main(["doctor", "prompts", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (culprit,) = document["culprits"]
    assert (culprit["place"], culprit["remedy"]) == ("system: its text changes", None)
    assert culprit["estimated_usd"] > 0
    assert RULES[:20] not in json.dumps(document)


def test_prompts_that_do_not_change_are_said_to(tmp_path, capsys):
    main(["doctor", "prompts", str(trace(tmp_path, talk(0), talk(1)))])
    assert "Nothing in them changes." in capsys.readouterr().out


def test_transcripts_show_their_misses_and_say_what_they_do_not_show(tmp_path, capsys):
    session("s1", turns=4, gap=400.0).write(tmp_path)
    assert main(["doctor", "prompts", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "Paid for again, by cause (estimates)" in shown
    assert "these sources do not show them" in shown


def test_without_a_call_the_exit_code_says_so(tmp_path, capsys):
    assert main(["doctor", "prompts", str(tmp_path)]) == 1
    assert capsys.readouterr().out.startswith("0 calls")


def test_without_transcripts_it_asks_for_a_path(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    assert main(["doctor", "prompts"]) == 2
    assert "name a file or folder" in capsys.readouterr().err


@pytest.mark.parametrize("topic", ["setup", "prompts"])
def test_both_topics_are_in_the_help(topic, capsys):
    with pytest.raises(SystemExit):
        main(["doctor", "--help"])
    assert topic in capsys.readouterr().out
