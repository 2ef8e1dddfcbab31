from __future__ import annotations

import io

import pytest

from farthing.cli.table import bold, render_table


def test_the_first_column_is_left_and_numbers_are_right():
    text = render_table(["name", "n"], [["a", "1"], ["bb", "100"]])

    assert text.split("\n") == ["name    n", "----  ---", "a       1", "bb    100"]


def test_a_total_stands_under_a_rule():
    text = render_table(["", "n"], [["a", "1"], ["total", "1"]], total=True)

    assert text.split("\n")[-2:] == ["-----  -", "total  1"]


def test_a_table_without_rows_is_its_head():
    assert render_table(["a", "b"], [], total=True).split("\n") == ["a  b", "-  -"]


def test_the_widest_text_gives_way_so_that_the_table_fits():
    text = render_table(["what", "n"], [["x" * 100, "1"]], width=30)

    assert {len(line) for line in text.split("\n")} == {30}
    assert "x…" in text


def test_numbers_never_give_way():
    text = render_table(["n", "m"], [["1" * 30, "2" * 30]], align="rr", width=20)

    assert "1" * 30 in text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_bold_is_for_terminals(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")

    assert bold("x", Terminal()) == "\x1b[1mx\x1b[0m"
    assert bold("x", io.StringIO()) == "x"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_may_refuse_colour(name, value, monkeypatch):
    monkeypatch.setenv(name, value)

    assert bold("x", Terminal()) == "x"
