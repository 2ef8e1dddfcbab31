from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from farthing.cli.conversation import Conversation, Turn, bill, parse_conversation, usages
from farthing.cli.main import main
from farthing.errors import ConfigError
from farthing.pricing import require_card
from farthing.wire.usage import Usage

ON = ["--on", "2026-11-12"]
CARD = require_card("claude-opus-5-5", on=date(2026, 11, 12))


HEAD = b'{"title":"","about":"","model":"m","system":0,'


def talk(*starts: int) -> Conversation:
    turns = tuple(Turn(at=at, new=100, output=10) for at in starts)
    return Conversation(
        title="t", about="a", model="claude-opus-5-5", tools=600, system=400, turns=turns
    )


def test_each_prompt_is_all_that_went_before_and_what_is_new():
    assert [prompt for _, prompt in talk(0, 10, 20).prompts()] == [1_100, 1_210, 1_320]


def test_uncached_every_turn_sends_everything_again():
    assert [usage.uncached for usage in usages(talk(0, 10), "none", min_tokens=512)] == [
        1_100,
        1_210,
    ]


@pytest.mark.parametrize(("gap", "read"), [(299, 1_100), (300, 0)])
def test_a_five_minute_entry_lives_while_it_is_younger_than_that(gap, read):
    last = list(usages(talk(0, gap), "5m", min_tokens=512))[-1]

    assert last == Usage(cache_read=read, cache_write_5m=1_210 - read, output=10)


@pytest.mark.parametrize(("gap", "read"), [(3_599, 1_100), (3_600, 0)])
def test_an_hours_entry_lives_an_hour(gap, read):
    last = list(usages(talk(0, gap), "1h", min_tokens=512))[-1]

    assert last == Usage(cache_read=read, cache_write_1h=1_210 - read, output=10)


@pytest.mark.parametrize(("least", "written"), [(1_100, 1_100), (1_101, 0)])
def test_a_prompt_under_the_minimum_is_not_cached(least, written):
    (first,) = usages(talk(0), "5m", min_tokens=least)

    assert (first.cache_write_5m, first.uncached) == (written, 1_100 - written)


def test_the_bill_is_the_sum_of_its_turns():
    assert str(bill(talk(0, 10), "none", CARD, min_tokens=512)) == "0.00964"


def test_the_demo_shows_every_component_and_a_saving(capsys):
    assert main(["demo", *ON]) == 0

    out = capsys.readouterr().out
    for text in ("cache write 5m", "cache read", "output", "total", "marked, 1 h", "of the bill"):
        assert text in out
    assert "The discount is the provider's too" in out


def test_the_demo_as_json_adds_up(capsys):
    assert main(["demo", "--json", *ON]) == 0

    found = json.loads(capsys.readouterr().out)
    before, after = (float(found["costs"][name]["total"]) for name in ("none", found["best"]))
    assert found["ratio"] == pytest.approx(after / before)
    assert float(found["saved_usd"]) == pytest.approx(before - after)


def test_another_model_may_be_asked_for(capsys):
    assert main(["demo", "--model", "claude-haiku-4-5", "--json", *ON]) == 0

    assert json.loads(capsys.readouterr().out)["model"] == "claude-haiku-4-5-20251001"


def test_models_that_did_not_exist_on_that_day_are_left_out(capsys):
    assert main(["demo", "--model", "claude-sonnet-4-6", "--on", "2026-03-01"]) == 0

    assert "claude-fable-5-2" not in capsys.readouterr().out


def test_a_conversation_without_pauses_does_not_speak_of_them(capsys, tmp_path):
    path = tmp_path / "talk.json"
    turns = [{"at": 0, "new": 1000, "output": 1}, {"at": 1, "new": 1, "output": 1}]
    path.write_text(
        json.dumps(
            {"title": "t", "about": "", "model": "claude-opus-5-5", "tools": 0, "system": 0}
            | {"turns": turns}
        )
    )

    assert main(["demo", str(path), *ON]) == 0
    assert "paused" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"{}",
        HEAD + b'"tools":0,"turns":[]}',
        HEAD + b'"tools":-1,"turns":[{"at":0,"new":1,"output":1}]}',
        HEAD + b'"tools":0,"turns":[{"at":9,"new":1,"output":1},{"at":1,"new":1,"output":1}]}',
    ],
)
def test_what_is_no_conversation_is_refused(data):
    with pytest.raises(ConfigError, match=r"talk\.json"):
        parse_conversation(data, name="talk.json")


def test_a_missing_file_is_said_to_be_missing(capsys):
    assert main(["demo", "absent.json"]) == 2

    assert "cannot read 'absent.json': No such file" in capsys.readouterr().err


def test_the_example_is_the_conversation_of_the_package(repo_root: Path):
    import farthing.cli

    shipped = Path(farthing.cli.__file__).with_name("conversation.json")
    assert (repo_root / "examples" / "conversation.json").read_bytes() == shipped.read_bytes()
