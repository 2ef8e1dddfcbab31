from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from farthing.cli.main import main
from farthing.ledger import SqliteLedger
from tests.contract.exchanges import opened, settled, unsettled


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "ledger.db"
    ledger = SqliteLedger(path)
    for number in range(3):
        ledger.open(opened(f"x{number}", minutes=24 * 60 * number))
        ledger.settle(settled(f"x{number}"))
    ledger.close()
    return path


def run(capsys, *words) -> tuple[int, str, str]:
    code = main(["ledger", *map(str, words)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"FARTHING_LEDGER": "here.db", "XDG_STATE_HOME": "state"}, "here.db"),
        ({"XDG_STATE_HOME": "state"}, "state/farthing/ledger.db"),
        ({"HOME": "/home/someone"}, "/home/someone/.local/state/farthing/ledger.db"),
    ],
)
def test_path_says_where_the_ledger_is(capsys, monkeypatch, settings, expected):
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    assert run(capsys, "path") == (0, f"{expected}\n", "")


def test_the_settings_file_may_name_the_ledger(capsys, tmp_path):
    config = tmp_path / "farthing.toml"
    config.write_text('[ledger]\npath = "/srv/ledger.db"\n')

    assert run(capsys, "path", "--config", config)[1] == "/srv/ledger.db\n"


def test_path_as_json_says_whether_there_is_one(capsys, path):
    _, printed, _ = run(capsys, "path", "--ledger", path, "--json")

    assert json.loads(printed) == {"path": str(path), "exists": True}


def test_check_of_a_sound_ledger_exits_with_zero(capsys, path):
    code, printed, _ = run(capsys, "check", "--ledger", path)

    assert code == 0
    assert "every page and index is sound" in printed


def test_check_of_a_broken_one_exits_with_one_and_says_what(capsys, path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE hourly SET settled = settled + 1")
        connection.commit()

    code, printed, _ = run(capsys, "check", "--ledger", path, "--json")

    levels = {each["name"]: each["level"] for each in json.loads(printed)["findings"]}
    assert (code, levels["sums"]) == (1, "fault")


def test_export_prints_csv_unless_told_otherwise(capsys, path):
    code, printed, _ = run(capsys, "export", "--ledger", path)

    assert code == 0
    assert [line.partition(",")[0] for line in printed.splitlines()][1:] == ["x0", "x1", "x2"]


def test_a_row_is_settled_by_hand_and_told_where_that_is_above_its_interval(capsys, path):
    ledger = SqliteLedger(path)
    ledger.open(opened("cut"))
    ledger.settle(unsettled("cut", low=0, high=10))
    ledger.close()
    usage = '{"input_tokens": 1000}'

    code, printed, told = run(capsys, "settle", "cut", "--usage", usage, "--ledger", path)

    assert (code, printed) == (0, "cut: settled at $0.004000\n")
    assert "above its interval" in told


@pytest.mark.parametrize("words", [["--json"], ["--format", "json"]])
def test_export_as_json(capsys, path, words):
    assert len(json.loads(run(capsys, "export", "--ledger", path, *words)[1])) == 3


@pytest.mark.parametrize(("day", "count"), [("2026-11-22", 2), ("2026-11-23", 1)])
def test_export_since_a_day_starts_at_its_midnight(capsys, path, day, count):
    _, printed, _ = run(capsys, "export", "--ledger", path, "--json", "--since", day)

    assert len(json.loads(printed)) == count


def test_the_name_of_the_file_decides_its_format(capsys, path, tmp_path):
    target = tmp_path / "rows.json"

    code, printed, told = run(capsys, "export", "--ledger", path, "-o", target)

    assert (code, printed, told) == (0, "", f"3 rows written to {target}\n")
    assert len(json.loads(target.read_bytes())) == 3


def test_a_file_that_cannot_be_written_leaves_none_behind(capsys, path, tmp_path):
    code, _, told = run(capsys, "export", "--ledger", path, "-o", tmp_path / "no" / "rows.csv")

    assert code == 1
    assert "cannot write" in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["export", "--json", "--format", "csv"], "contradict"),
        (["export", "--format", "parquet"], "name a file with -o"),
        (["check", "--format", "csv"], "--format belongs to"),
        (["path", "--since", "30d"], "--since belongs to"),
        (["check", "-o", "x"], "--output belongs to"),
        (["check", "--by", "day"], "--by belongs to `farthing ledger reconcile`"),
        (["export", "--close"], "--close belongs to `farthing ledger reconcile`"),
        (["path", "--api-key-id", "a"], "--api-key-id belongs to `farthing ledger reconcile`"),
        (["path", "ex_1"], "EXCHANGE belongs to `farthing ledger settle`"),
        (["reconcile"], "--since 7d"),
        (["reconcile", "--since", "7d"], "FARTHING_ADMIN_KEY"),
        (["settle"], "settle EXCHANGE --usage JSON"),
        (["settle", "x0", "--usage", "[]"], "--usage is no usage object"),
        (["settle", "none", "--usage", "{}"], "there is no exchange 'none'"),
        (["settle", "x0", "--usage", "{}"], "only an 'unsettled' one"),
    ],
)
def test_options_that_do_not_go_together_are_refused(capsys, path, words, message):
    code, _, told = run(capsys, *words, "--ledger", path)

    assert (code, message in told) == (2, True)


@pytest.mark.parametrize("words", [["export"], ["settle", "x", "--usage", "{}"]])
def test_where_there_is_no_ledger_it_says_so_in_one_line(capsys, tmp_path, words):
    code, _, told = run(capsys, *words, "--ledger", tmp_path / "none.db")

    assert code == 1
    assert "there is no ledger at" in told
    assert not (tmp_path / "none.db").exists()
