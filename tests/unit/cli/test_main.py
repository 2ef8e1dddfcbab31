from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from farthing import __version__
from farthing.cli.main import COMMANDS, did_you_mean, main


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])

    assert stop.value.code == 0
    assert capsys.readouterr().out == f"farthing {__version__}\n"


@pytest.mark.parametrize("words", [[], ["help"]])
def test_without_a_command_the_commands_are_listed(words, capsys):
    try:
        code = main(words)
    except SystemExit as stop:
        code = int(stop.code or 0)

    printed = capsys.readouterr().out
    assert code == 0
    assert [name for name in COMMANDS if f"  {name}" not in printed] == []


def test_help_of_a_command_is_the_commands_help(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["help", "price"])

    assert stop.value.code == 0
    assert "--break-even" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "hint"), [("prise", "did you mean 'price'?"), ("zzzzzz", "`farthing --help` lists")]
)
def test_an_unknown_command_is_refused_with_what_was_meant(word, hint, capsys):
    assert main([word]) == 2

    error = capsys.readouterr().err
    assert repr(word) in error
    assert hint in error


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--verson"], "unknown option '--verson'; did you mean '--version'?"),
        (["price", "m", "--promt", "5"], "unknown option '--promt'; did you mean '--prompt'?"),
        (["price", "m", "--promt=5"], "unknown option '--promt'; did you mean '--prompt'?"),
        (["price", "m", "--pro", "5"], "unknown option '--pro'"),
        (["price", "m", "again"], "unexpected argument 'again'"),
    ],
)
def test_an_unknown_option_is_refused_with_what_was_meant(words, hint, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)

    assert stop.value.code == 2
    assert hint in capsys.readouterr().err


def test_nothing_close_means_no_suggestion():
    assert did_you_mean("xyzzy", COMMANDS) == ""


def test_two_close_names_are_both_suggested():
    assert did_you_mean("claude-opus-5.5", ["claude-opus-5-5", "claude-opus-5", "x"]) == (
        "; did you mean 'claude-opus-5-5' or 'claude-opus-5'?"
    )


def test_importing_the_entry_loads_no_command_and_nothing_heavy():
    code = (
        "import sys; import farthing.cli.main\n"
        "heavy = {'asyncio', 'socket', 'ssl', 'sqlite3', 'http.client', 'genai_prices'}\n"
        "print(sorted(n for n in sys.modules if n in heavy or n.startswith('farthing.')))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    loaded = ["farthing.cli", "farthing.cli.main", "farthing.errors", "farthing.version"]
    assert run.stdout.strip() == repr(loaded)


def test_a_reader_that_leaves_early_is_no_error():
    """`farthing price --list | head -1` must not end in a traceback."""
    command = f"{sys.executable} -m farthing price --list --json | head -c 1"
    run = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)

    assert (run.stdout, run.stderr) == ("[", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_behind_the_output_is_said_in_one_line():
    command = f"{sys.executable} -m farthing price --list --json > /dev/full"
    run = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)

    assert run.returncode == 1
    assert run.stderr == "farthing: the output is incomplete: No space left on device\n"
