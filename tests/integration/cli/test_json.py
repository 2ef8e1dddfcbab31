"""`--json` everywhere: each command that has it is called, and what it prints is read as JSON.

The commands are taken from the program: one that is new and has no call here fails.
"""

from __future__ import annotations

import argparse
import importlib
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

import pytest

from farthing.cli.main import COMMANDS, main
from farthing.compose.place import install_key
from farthing.ledger import SqliteLedger
from tests.contract.exchanges import opened, settled

#: they run until they are stopped, or until what they run has ended: nothing to print as JSON
WITHOUT: Final = {"emulate", "run", "serve"}

#: command → calls of it, ``--json`` left out; names in braces are files that are made first
CALLS: Final[dict[str, tuple[str, ...]]] = {
    "alerts": ("list --ledger {ledger}",),
    "audit": ("{trace}", "{trace} --policies"),
    "budget": ("list --ledger {ledger}", "set team --limit 5 --ledger {ledger}"),
    "compare": ("{ledger} {ledger}", "--ledger {ledger} 2026-11-01..2026-11-02 30d.."),
    "config": ("show", "show --origin"),
    "demo": ("--scenario classification --through simulation",),
    "doctor": (
        "--offline --port 0",
        "setup --offline --port 0 --ledger {ledger}",
        "prompts {trace}",
    ),
    "estimate": ("--model claude-opus-4-8 --prefix 20k --turns 5",),
    "explain": ("x0 --ledger {ledger}",),
    "import": ("{trace} -o {output}",),
    "install": ("claude", "claude --dry-run", "claude"),
    "journal": ("verify --ledger {ledger}",),
    "keys": ("list --ledger {ledger}", "create ci --ledger {ledger}"),
    "ledger": (
        "path",
        "check --ledger {ledger}",
        "export --ledger {ledger}",
        "export --ledger {empty}",
    ),
    "loops": ("scan {trace}",),
    "predict": ("{request}", "{request} --after {request} --gap 1m"),
    "price": ("claude-opus-4-8 --prompt 5k", "--list", "claude-opus-4-8 --break-even --prefix 9k"),
    "replay": ("scenario:classification", "{trace}"),
    "report": ("--ledger {ledger}", "--ledger {ledger} --by model", "--ledger {empty}"),
    "savings": ("--ledger {ledger}", "--ledger {ledger} --by day --why", "--ledger {empty}"),
    "tail": ("--no-follow --ledger {ledger}", "--no-follow --ledger {empty}"),
    "trace": ("show {trace}",),
    "uninstall": ("claude", "claude --dry-run"),
}

#: these print one object a line, as they go
LINES: Final = {"tail"}

REQUEST: Final = {
    "model": "claude-opus-4-8",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "hello"}],
}


def has_json(name: str) -> bool:
    parser = argparse.ArgumentParser(add_help=False)
    importlib.import_module(COMMANDS[name].partition(":")[0]).add_arguments(parser)
    return any("--json" in action.option_strings for action in parser._actions)


def write_ledger(path: Path, rows: int) -> None:
    ledger = SqliteLedger(path)
    now = datetime.now(UTC)
    for number in range(rows):
        at = now - timedelta(hours=number)
        ledger.open(opened(f"x{number}", opened_at=at))
        ledger.settle(settled(f"x{number}", ended_at=at))
    ledger.close()
    install_key(path)  # made with the ledger wherever a gateway makes one


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trace") / "trace.jsonl.gz"
    assert main(["replay", "scenario:classification", "--save", str(path)]) == 0
    return path


@pytest.fixture
def files(tmp_path: Path, trace: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "CLAUDE_CONFIG_DIR", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    made = {name: tmp_path / name for name in ("ledger", "empty", "request", "output")}
    made["trace"] = trace
    write_ledger(made["ledger"], 3)
    write_ledger(made["empty"], 0)
    made["request"].write_text(json.dumps(REQUEST))
    return made


def test_every_command_that_answers_has_json_and_a_call_here() -> None:
    with_json = {name for name in COMMANDS if has_json(name)}

    assert set(COMMANDS) - with_json == WITHOUT
    assert with_json - set(CALLS) == set()


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - WITHOUT))
def test_json_is_json(
    name: str, files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for call in CALLS[name]:
        words = [name, *call.format(**files).split(), "--json"]
        capsys.readouterr()
        code = main(words)
        printed = capsys.readouterr().out
        documents = parsed(printed, is_lines=name in LINES)

        assert code in {0, 1}, words
        assert [fault for document in documents for fault in faults_in(document)] == [], words


def parsed(printed: str, *, is_lines: bool) -> list[Any]:
    """What was printed; strictly JSON: Python would also read NaN and Infinity."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    texts = printed.splitlines() if is_lines else [printed]
    return [json.loads(text, parse_constant=refuse) for text in texts]


def faults_in(document: Any, key: str = "") -> list[str]:
    """Money that is not a decimal string: under a name that ends in ``_usd``, at any depth."""
    if isinstance(document, dict):
        return [
            fault
            for name, value in document.items()
            for fault in faults_in(
                value, name if name.endswith("_usd") and "." not in name else key
            )
        ]
    if isinstance(document, list):
        return [fault for value in document for fault in faults_in(value, key)]
    if not key or document is None or isinstance(document, bool):
        return []
    try:
        Decimal(document if isinstance(document, str) else "a number")
    except InvalidOperation:
        return [f"{key}: {document!r}"]
    return []
