"""Every command has help, and stands in the reference."""

from __future__ import annotations

import argparse
import importlib

import pytest

from farthing.cli.main import COMMANDS, main
from tests.meta.source import ROOT


def command_module(name: str):
    return importlib.import_module(COMMANDS[name].partition(":")[0])


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_says_in_one_line_what_it_is_for(name):
    text = command_module(name).HELP

    assert text
    assert "\n" not in text


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_argument_has_help(name):
    parser = argparse.ArgumentParser(add_help=False)
    command_module(name).add_arguments(parser)

    assert [action.dest for action in parser._actions if not action.help] == []


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_is_printed_and_exits_cleanly(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])

    assert stop.value.code == 0
    assert name in capsys.readouterr().out


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_stands_in_the_reference(name):
    assert f"\n## farthing {name}\n" in (ROOT / "docs" / "cli.md").read_text("utf-8")


def test_farthing_help_lists_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])

    printed = capsys.readouterr().out
    assert [name for name in COMMANDS if name not in printed] == []
