"""``farthing tail``: what has ended, then what ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from farthing.cli.main import main
from farthing.ledger.following import Follower
from tests.contract.exchanges import NOON, failed, opened, settled, unsettled
from tests.integration.reports.scenario import START


def told(rows) -> list[str]:
    return [row.opened.exchange_id for row in rows]


def end(team, exchange_id, *, minutes=0.0, **given):
    team.ledger.open(opened(exchange_id, minutes=minutes))
    ended = NOON + timedelta(minutes=minutes, seconds=3)
    team.ledger.settle(settled(exchange_id, ended_at=ended, **given))
    team.ledger.flush()


def tail(capsys, path, *words):
    assert main(["tail", "--no-follow", "--ledger", str(path), *words]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_follower_tells_each_end_once_in_the_order_they_came(team):
    end(team, "a")
    with closing(Follower(team.ledger.path)) as follower:
        assert told(follower.latest(10)) == ["a"]
        assert follower.news() == []
        end(team, "c", minutes=2)
        end(team, "b", minutes=1)
        assert told(follower.news()) == ["b", "c"]
        team.ledger.open(opened("under-way"))
        team.ledger.flush()
        assert follower.news() == []


def test_an_exchange_that_is_tried_again_is_told_again(team):
    team.ledger.open(opened("a"))
    team.ledger.settle(failed("a"))
    team.ledger.flush()
    with closing(Follower(team.ledger.path)) as follower:
        follower.latest(10)
        team.ledger.open(opened("a", attempt=2))
        team.ledger.settle(settled("a", attempts=2))
        team.ledger.flush()

        assert told(follower.news()) == ["a"]


def test_an_empty_ledger_can_be_followed(team):
    with closing(Follower(team.ledger.path)) as follower:
        assert follower.latest(10) == []
        end(team, "a")
        assert told(follower.news()) == ["a"]


def test_the_last_lines_are_printed_oldest_first(capsys, team):
    for number in range(12):
        end(team, f"x{number:02d}", minutes=number)

    assert len(tail(capsys, team.ledger.path)) == 10
    lines = tail(capsys, team.ledger.path, "-n", "2", "--json")
    assert [json.loads(line)["exchange_id"] for line in lines] == ["x10", "x11"]
    assert tail(capsys, team.ledger.path, "-n", "0") == []


def test_since_is_a_span_before_now(capsys, team):
    now = datetime.now(UTC)
    team.call("old", "triage", at=now - timedelta(hours=3))
    team.call("new", "triage", at=now - timedelta(hours=1))
    team.ledger.flush()

    lines = tail(capsys, team.ledger.path, "--since", "2h", "--json")

    assert [json.loads(line)["task_id"] for line in lines] == ["new"]


def test_a_line_has_task_model_tokens_cost_saving_times_and_status(capsys, team):
    end(team, "a", attempts=2)

    [line] = tail(capsys, team.ledger.path)

    assert (
        line.split()
        == (
            "12:00:03 review t1 opus-5-5 40 50 10 50 $0.0000000000210 $0.00000000000900 900 ms 3 s"
            " 200 end_turn (2 attempts)"
        ).split()
    )


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        (unsettled("a", low=1, high=2 * 10**11, notes=("answer.cut",)), ["≤$0.200", "answer.cut"]),
        (unsettled("a", low=1, high=None), ["?", "unsettled"]),
        (failed("a"), ["529", "overloaded_error", "$0.00"]),
    ],
)
def test_an_end_that_was_no_answer_says_so(capsys, team, ending, words):
    team.ledger.open(opened("a"))
    team.ledger.settle(ending)
    team.ledger.flush()

    [line] = tail(capsys, team.ledger.path)

    assert all(word in line.split() for word in words)


def test_json_lines_are_flat_and_exact(capsys, team):
    team.call("t", "triage", at=START)
    team.ledger.flush()

    line = json.loads(tail(capsys, team.ledger.path, "--json")[0])

    row = team.ledger.row(line["exchange_id"])
    assert row.settlement.cost.total == int(line["cost_usd"].replace(".", "").ljust(13, "0"))
    assert {"task_id", "model", "cache_read_tokens", "saved_usd", "ttft_ms"} <= line.keys()


def test_a_name_cannot_steer_the_terminal(capsys, team):
    team.call("\x1b[2Jt", None, at=START)
    team.ledger.flush()

    assert "\x1b" not in "".join(tail(capsys, team.ledger.path))


def test_a_process_follows_a_ledger_that_is_being_written_until_ctrl_c(team):
    end(team, "before")
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [
        sys.executable,
        "-m",
        "farthing",
        "tail",
        "--json",
        "--ledger",
        str(team.ledger.path),
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        end(team, "after", minutes=1)
        second = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        rest, complaints = process.communicate(timeout=20)

    assert [first["exchange_id"], second["exchange_id"]] == ["before", "after"]
    assert (rest, complaints, process.returncode) == ("", "", 0)


def test_a_ledger_that_goes_away_ends_it(capsys, team, monkeypatch):
    """The pause between two questions is when it goes."""
    end(team, "a")
    path = team.ledger.path
    team.ledger.close()
    monkeypatch.setattr("farthing.cli.tail.time.sleep", lambda _: path.unlink())

    assert main(["tail", "--ledger", str(path)]) == 1
    assert "is gone" in capsys.readouterr().err


@pytest.mark.parametrize("count", ["-1", "ten", "99999999"])
def test_a_number_of_lines_that_is_none_is_refused(capsys, count):
    with pytest.raises(SystemExit) as stop:
        main(["tail", f"-n{count}"])
    assert stop.value.code == 2
    assert "is not a number of lines" in capsys.readouterr().err
