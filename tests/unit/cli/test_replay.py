from __future__ import annotations

import json

import pytest

from farthing.cli.main import main

SMALL = ["scenario:rag-qa", "--count", "3"]


def test_a_scenario_is_replayed_under_all_policies(capsys):
    assert main(["replay", *SMALL]) == 0

    out = capsys.readouterr().out
    assert all(name in out for name in ("as-recorded", "no-cache", "auto-cache", "rag-qa/0"))


def test_policies_come_in_the_order_asked_for(capsys):
    assert main(["replay", *SMALL, "--as", "no-cache", "--as", "auto-cache", "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert [policy["policy"] for policy in found["policies"]] == ["no-cache", "auto-cache"]
    assert found["conversations"] == 3


def test_the_optimum_comes_with_each_policys_ratio_where_it_is_asked_for(capsys):
    asked = [*SMALL, "--policy", "safe", "--optimum"]
    assert main(["replay", *asked]) == 0
    assert "optimum with pings" in capsys.readouterr().out

    main(["replay", *asked, "--json"])
    found = json.loads(capsys.readouterr().out)
    (safe,) = found["policies"]
    assert safe["optimum_ratio"]["floor"] >= safe["optimum_ratio"]["upgraded"] >= 1


def test_a_saved_scenario_replays_to_the_same_bills(tmp_path, capsys):
    path = tmp_path / "saved.jsonl.gz"
    main(["replay", *SMALL, "--save", str(path), "--json"])
    first = json.loads(capsys.readouterr().out)
    main(["replay", str(path), "--json"])

    assert json.loads(capsys.readouterr().out) == first


def test_a_page_is_written_beside_the_table(tmp_path, capsys):
    path = tmp_path / "bills.html"

    assert main(["replay", *SMALL, "--html", str(path)]) == 0
    assert "Page written to" in capsys.readouterr().out
    assert path.read_text("utf-8").endswith("</html>\n")


def test_all_conversations_can_be_listed(capsys):
    main(["replay", "scenario:classification", "--count", "14"])
    assert "and 2 more (--all)" in capsys.readouterr().out

    main(["replay", "scenario:classification", "--count", "14", "--all"])
    assert "more (--all)" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["scenario:chess"], "unknown scenario 'chess'"),
        ([*SMALL, "--as", "best"], "unknown policy 'best'"),
        ([*SMALL, "--price-as", "claude-opus-9"], "unknown model 'claude-opus-9'"),
    ],
)
def test_a_wrong_name_is_a_usage_error(arguments, words, capsys):
    assert main(["replay", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_path_without_calls_is_said_to_have_none(tmp_path, capsys):
    assert main(["replay", str(tmp_path / "absent.jsonl")]) == 1
    assert "nothing to replay" in capsys.readouterr().err
