"""Typed wrongly: whatever it was, the message says what to do, and the exit code who must act."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from farthing.cli.main import COMMANDS, main

#: what was typed → words of the message that help
TYPED: Final = {
    "prise claude-opus-4-8": "did you mean 'price'?",
    "Serve": "did you mean 'serve'?",
    "--verson": "did you mean '--version'?",
    "alerts lst": "choose from 'test', 'list', 'retry'",
    "audit --since yesterday": "30d for the last thirty days",
    "audit --by proyect": "choose from",
    "budget set": "name",
    "budget set team --limit ten": "it takes dollars, such as '12.50'",
    "compare task-type=a": "required: B",
    "compare monday tuesday": "2026",
    "config": "required: verb",
    "config shwo": "choose from 'show'",
    "config show --prot 1": "did you mean '--port'",
    "demo --scenario coding": "'coding-agent'",
    "doctor setpu": "choose from 'setup'",
    "doctor setup mine.jsonl": "`farthing doctor prompts`",
    "doctor --offlin": "did you mean '--offline'",
    "emulate --port x": "farthing emulate --help",
    "emulate --script none.jsonl": "cannot read the script",
    "estimate --turns 3": "required: --model, --prefix",
    "estimate --model claude-opus-4-8 --prefix 1.5 --turns 3": "write 200000",
    "explain": "required: ",
    "import --josn x": "required: -o/--output",
    "install cursor": "choose from 'claude'",
    "install": "required: client",
    "install claude --port http": "a port from 0 to 65535",
    "journal verfy": "choose from 'verify', 'export'",
    "keys create": "name",
    "keys create ci --rol admin": "did you mean '--role'",
    "loops scn": "scan",
    "ledger chek": "choose from 'path', 'check'",
    "ledger check --ledger none.db": "name another place with --ledger",
    "ledger path --since 3d": "--since belongs to `farthing ledger export`",
    "predict": "required: REQUEST",
    "price": "which model?",
    "price claude-opus-9": "did you mean 'claude-opus-5'",
    "price claude-opus-4-8 --promt 5": "did you mean '--prompt'?",
    "price claude-opus-4-8 --prompt 5 --on 7.10.2026": "write it as 2026-10-07",
    "replay --as clever scenario:rag-qa": "as-recorded",
    "report --by modl": "choose from",
    "report --ledger none.db": "name another place with --ledger",
    "run": "farthing run -- claude",
    "run --cach auto -- claude": "did you mean '--cache'?",
    "run --cache on -- claude": "one of engine, auto, off",
    "savings --by levr": "choose from 'lever'",
    "serve claude": "unexpected argument 'claude'",
    "serve --port 99999": "a port from 0 to 65535",
    "serve --api-key sk-1": "did you mean '--api-key-file'",
    "tail --sinc 3d": "did you mean '--since'",
    "trace show": "required: TRACE",
    "uninstall claude --dryrun": "did you mean '--dry-run'?",
}

#: storage and files: nobody mistyped an option, so 1 and not 2
ONE: Final = {"ledger check --ledger none.db", "report --ledger none.db"}

CASES: Final = [
    typed for typed in TYPED if typed.split()[0] in COMMANDS or typed in list(TYPED)[:3]
]


def test_every_command_is_mistyped_here() -> None:
    assert set(COMMANDS) - {typed.split()[0] for typed in TYPED} == set()
    assert len(CASES) >= 20


@pytest.mark.parametrize("typed", CASES)
def test_the_message_says_what_to_do(
    typed: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    try:
        code = main(typed.split())
    except SystemExit as stop:
        code = int(stop.code or 0)
    printed = capsys.readouterr()

    assert TYPED[typed] in printed.err
    assert code == (1 if typed in ONE else 2)
    assert printed.err.startswith("farthing")
    assert printed.out == ""
