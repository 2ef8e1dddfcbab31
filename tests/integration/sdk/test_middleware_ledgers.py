"""Where the middleware books: settings, other processes, forks, and SDKs that it cannot serve."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

import farthing
from farthing.errors import ConfigError, LedgerError
from farthing.ledger import SqliteLedger
from farthing.ledger.audit_log import read_events
from farthing.ledger.place import ledger_files

ASKED: dict[str, Any] = {
    "model": "claude-haiku-5-5",
    "max_tokens": 20,
    "messages": [{"role": "user", "content": "Hello"}],
}


@pytest.fixture
def state(tmp_path, monkeypatch) -> Path:
    """The folder where this test's installation keeps its ledger."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return Path(tmp_path) / "farthing"


@pytest.fixture
def other_process(state) -> Iterator[None]:
    """Another process that has the ledger of this installation open."""
    code = (
        "import sys; from pathlib import Path; from farthing.ledger import SqliteLedger\n"
        "SqliteLedger(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(state / "ledger.db")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"open\n"
    yield
    child.communicate(b"", timeout=20)


def call(emu, middleware: farthing.Farthing) -> None:
    with anthropic.Anthropic(
        base_url=emu.url, api_key=emu.api_key, middleware=[middleware]
    ) as client:
        client.messages.create(**ASKED)


def test_without_a_word_it_books_into_the_ledger_of_the_installation(state, emu):
    with farthing.Farthing() as middleware:
        call(emu, middleware)
        assert len(list(middleware.ledger.rows())) == 1

    assert ledger_files(state / "ledger.db") == [state / "ledger.db"]


def test_settings_are_read_from_the_file_and_the_environment(state, monkeypatch):
    state.mkdir()
    (state / "farthing.toml").write_text('[ledger]\npath = "unused"\n[levers]\ncache = "auto"\n')
    monkeypatch.setenv("FARTHING_LEDGER", str(state / "own.db"))
    with farthing.Farthing(task_usd=1) as middleware:
        assert isinstance(middleware.ledger, SqliteLedger)
        assert middleware.ledger.path == state / "own.db"
        assert middleware._settings.cache == "auto"
        assert middleware._settings.task_usd == 10**12


def test_two_of_a_process_share_a_ledger_until_both_are_closed(state, emu):
    first, second = farthing.Farthing(), farthing.Farthing()
    assert first.ledger is second.ledger
    first.close()
    call(emu, second)
    assert len(list(second.ledger.rows())) == 1
    second.close()

    SqliteLedger(state / "ledger.db").close()  # nobody has it any more


def test_a_closed_one_opens_again_when_it_is_used(state, emu):
    middleware = farthing.Farthing()
    middleware.close()
    middleware.close()

    call(emu, middleware)

    assert len(list(middleware.ledger.rows())) == 1
    middleware.close()


def test_beside_another_process_it_takes_the_next_file(state, other_process, emu):
    with farthing.Farthing() as middleware:
        call(emu, middleware)
        assert isinstance(middleware.ledger, SqliteLedger)
        assert middleware.ledger.path == state / "ledger.2.db"

    assert [path.name for path in ledger_files(state / "ledger.db")] == ["ledger.db", "ledger.2.db"]
    assert not (state / "ledger.2.db.key").exists()  # one key for all digests


def test_a_file_that_was_named_is_that_file_or_an_error(state, other_process):
    with pytest.raises(LedgerError, match="in use by process"):
        farthing.Farthing(ledger=state / "ledger.db")


@pytest.mark.parametrize("damaged", ["ledger.db.key", "ledger.db.budgets.toml"])
def test_one_that_cannot_start_leaves_the_ledger_to_others(state, damaged):
    state.mkdir()
    (state / damaged).write_text("no such thing")
    with pytest.raises(ConfigError, match=damaged):
        farthing.Farthing()

    SqliteLedger(state / "ledger.db").close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_books_into_a_file_of_its_own(state, emu):
    code = """
import os, sys, anthropic, farthing
middleware = farthing.Farthing()
client = lambda: anthropic.Anthropic(middleware=[middleware])
hi = {"role": "user", "content": "Hi"}
asked = {"model": "claude-haiku-5-5", "max_tokens": 20, "messages": [hi]}
client().messages.create(**asked)
child = os.fork()
if child == 0:
    client().messages.create(**asked)
    rows = len(list(middleware.ledger.rows()))
    os._exit(0 if (rows, middleware.ledger.path.name) == (1, "ledger.2.db") else 1)
_, status = os.waitpid(child, 0)
client().messages.create(**asked)
print(os.waitstatus_to_exitcode(status), len(list(middleware.ledger.rows())))
"""
    environment = {**os.environ, **emu.environment}
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert run.stdout.split() == ["0", "2"]


def test_what_was_booked_is_there_after_a_program_that_closed_nothing(state, emu):
    code = """
import anthropic, farthing
client = anthropic.Anthropic(middleware=[farthing.Farthing()])
with farthing.task("t") as task:
    client.messages.create(
        model="claude-haiku-5-5", max_tokens=20, messages=[{"role": "user", "content": "Hi"}]
    )
    task.passed()
"""
    subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **emu.environment}, check=True, timeout=60
    )

    ledger = SqliteLedger(state / "ledger.db")
    (row,) = ledger.rows()
    ledger.close()
    assert (row.state, row.outcome, row.opened.attribution.task_type) == ("settled", "passed", "t")


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"cache": "always"}, ConfigError),
        ({"task_usd": -1}, ValueError),
        ({"task_usd": "much"}, ValueError),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_when_it_is_given(state, wrong, error):
    with pytest.raises(error, match=next(iter(wrong))):
        farthing.Farthing(**wrong)


@pytest.mark.parametrize(
    ("without", "says"),
    [
        ("sys.modules['anthropic'] = None", "pip install 'farthing[sdk]'"),
        (
            "import anthropic as a; del a.Middleware, a.Omit; a.__version__ = '0.97.0'",
            "`farthing serve`",
        ),
    ],
    ids=["no SDK", "an old SDK"],
)
def test_without_an_sdk_that_has_middleware_the_message_says_what_to_do(without, says):
    code = (
        f"import sys; {without}\nimport farthing\n"
        "try: farthing.Farthing()\nexcept farthing.FarthingError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert says in run.stdout


def test_nothing_of_the_gateway_is_asked_for(state):
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['aiohttp', 'uvicorn', 'httptools']))\n"
        "import farthing; farthing.Farthing().close()\n"
        "print(*(name for name in sys.modules if name.startswith('farthing.gateway')))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.split() == []


def test_a_program_journals_what_its_policy_became(state, emu, monkeypatch):
    def policies() -> list[str]:
        with (
            farthing.Farthing() as made,
            anthropic.Anthropic(base_url=emu.url, api_key=emu.api_key, middleware=[made]) as client,
        ):
            client.messages.create(**ASKED)
        events = read_events(state / "ledger.db")
        return [event.actor for event in events if event.kind == "policy.changed"]

    assert policies() == ["operator"]
    assert policies() == ["operator"]
    monkeypatch.setenv("FARTHING_PROFILE", "observe")
    assert policies() == ["operator"] * 2
