"""``farthing keys`` from outside: what it prints, what it keeps, what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from msgspec import structs

from farthing.cli.main import main
from farthing.compose.budgets import budget_desk
from farthing.core.access import KeyRing
from farthing.core.budgets import Budget, BudgetRaise
from farthing.core.keys import VirtualKey
from farthing.ledger.audit_log import read_events
from farthing.ledger.budgets_file import BudgetFile, budgets_path
from farthing.ledger.keys import SqliteKeys

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def say(ledger: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    monkeypatch.setenv("FARTHING_CONFIG", "")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(ledger.parent))
    monkeypatch.delenv("FARTHING_API_KEY", raising=False)

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["keys", *words, "--ledger", str(ledger)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def found(ledger: Path, text: str) -> VirtualKey | str:
    with closing(SqliteKeys(ledger)) as store:
        return KeyRing(store.listed()).find(text, datetime.now(UTC))


def key_of(ledger: Path, text: str) -> VirtualKey:
    key = found(ledger, text)
    assert isinstance(key, VirtualKey)
    return key


def test_a_key_is_printed_alone_on_standard_output_and_once(say: Say, ledger: Path) -> None:
    code, out, err = say("create", "ci", "--model", "claude-haiku-*", "--lever", "cache.*")
    text = out.strip()
    key = key_of(ledger, text)

    assert code == 0
    assert text not in err
    assert (key.name, key.role) == ("ci", "client")
    assert (key.models, key.levers) == (("claude-haiku-*",), ("cache.*",))
    assert text[-43:] not in "".join(say("list")[1:])
    assert text[-43:].encode() not in b"".join(p.read_bytes() for p in ledger.parent.iterdir())


def test_the_first_key_says_that_a_provider_key_is_needed(
    say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "FARTHING_API_KEY" in say("create", "one")[2]
    assert "FARTHING_API_KEY" not in say("create", "two")[2]


def test_with_a_provider_key_nothing_is_missing(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARTHING_API_KEY", "sk-ant-x")
    assert "FARTHING_API_KEY" not in say("create", "one")[2]


def test_no_lever_at_all_is_said_with_none(say: Say, ledger: Path) -> None:
    assert key_of(ledger, say("create", "ci", "--lever", "none")[1].strip()).levers == ()


@pytest.mark.parametrize("when", ["90d", "12h", "2099-01-31"])
def test_an_end_is_a_span_or_a_day(say: Say, ledger: Path, when: str) -> None:
    before = datetime.now(UTC)
    key = key_of(ledger, say("create", "ci", "--expires", when)[1].strip())
    assert key.expires_at is not None
    expected = {
        "90d": before + timedelta(days=90),
        "12h": before + timedelta(hours=12),
        "2099-01-31": datetime(2099, 1, 31, tzinfo=UTC),
    }[when]

    assert timedelta() <= key.expires_at - expected < timedelta(minutes=1)


def test_a_key_is_listed_rotated_and_revoked(say: Say, ledger: Path) -> None:
    assert "no virtual keys" in say("list")[1]
    old = say("create", "ci")[1].strip()
    kept = say("rotate", "ci", "--keep", "1h")[1].strip()
    assert found(ledger, old) == found(ledger, kept)
    new = say("rotate", "ci")[1].strip()
    assert [found(ledger, text) for text in (old, kept)] == ["unknown"] * 2
    say("revoke", "ci")

    assert found(ledger, new) == "revoked"
    assert "revoked" in say("list")[1]
    assert [event.kind for event in read_events(ledger)] == [
        "key.created",
        "key.rotated",
        "key.rotated",
        "key.revoked",
    ]
    assert {event.actor for event in read_events(ledger)} == {"operator"}


def test_json_is_one_object(say: Say) -> None:
    made = json.loads(say("create", "ci", "--role", "admin", "--json")[1])
    assert made["key"].startswith("sk-farthing-")
    assert json.loads(say("rotate", "ci", "--json")[1])["key"] != made["key"]
    assert json.loads(say("revoke", "ci", "--json")[1])["state"] == "revoked"
    [listed] = json.loads(say("list", "--json")[1])["keys"]
    assert (listed["name"], listed["role"], listed["state"]) == ("ci", "admin", "revoked")


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["create"], 2, "name the key"),
        (["list", "ci"], 2, "takes no name"),
        (["revoke", "nobody"], 2, "there is no key 'nobody'"),
        (["create", "CI"], 2, "cannot be called"),
        (["create", "ci", "--keep", "1h"], 2, "--keep belongs to `farthing keys rotate`"),
        (["revoke", "ci", "--role", "admin"], 2, "--role belongs to `farthing keys create`"),
        (["create", "o", "--role", "admin", "--budget", "5"], 2, "--budget limits calls to Claude"),
        (["create", "o", "--role", "viewer", "--model", "m"], 2, "--model limits calls to Claude"),
        (["create", "o", "--role", "admin", "--lever", "none"], 2, "a key of the role admin makes"),
    ],
)
def test_what_makes_no_sense_is_refused(say: Say, words: list[str], code: int, why: str) -> None:
    got = say(*words)
    assert got[0] == code
    assert why in got[2]


def test_an_end_that_is_none_is_refused(say: Say, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        say("create", "ci", "--expires", "soon")
    assert "write a day as" in capsys.readouterr().err


# -- what a key may spend -------------------------------------------------------------------------


def test_a_key_is_made_with_its_budgets_and_the_list_shows_them(say: Say, ledger: Path) -> None:
    code, out, _ = say("create", "ci", "--budget", "5/day", "--budget", "$50.50/month")

    assert code == 0
    assert key_of(ledger, out.strip()).name == "ci"
    budgets = {each.name: each for each in BudgetFile(budgets_path(ledger)).read()}
    assert {name: each.limit_pico for name, each in budgets.items()} == {
        "key-ci-day": 5 * 10**12,
        "key-ci-month": 505 * 10**11,
    }
    assert {(each.scope, each.selector) for each in budgets.values()} == {("key", "ci")}
    assert "$5.00/day, $50.50/month" in say("list")[1]
    [listed] = json.loads(say("list", "--json")[1])["keys"]
    assert [each["window"] for each in listed["budgets"]] == ["day", "month"]
    assert [(each.kind, each.subject) for each in read_events(ledger)] == [
        ("budget.changed", "budget key-ci-day"),
        ("budget.changed", "budget key-ci-month"),
        ("key.created", "ci"),
    ]


@pytest.mark.parametrize("said", ["much/day", "5/fortnight", "5/call", "-1/day", "/day"])
def test_a_budget_that_cannot_be_read_makes_no_key(say: Say, ledger: Path, said: str) -> None:
    code, _, err = say("create", "ci", f"--budget={said}")

    assert (code, "such as 5/day" in err) == (2, True)
    assert say("list")[1].startswith("There are no virtual keys")
    assert not budgets_path(ledger).exists()


def test_a_window_with_two_amounts_makes_no_key(say: Say, ledger: Path) -> None:
    code, _, err = say("create", "ci", "--budget", "5/day", "--budget", "7/day")

    assert (code, "two amounts" in err) == (2, True)
    assert say("list")[1].startswith("There are no virtual keys")
    assert not budgets_path(ledger).exists()


def test_a_key_that_cannot_be_made_leaves_no_budget(say: Say, ledger: Path) -> None:
    say("create", "ci", "--budget", "5")
    for words in (("ci", "--budget", "9"), ("other", "--budget", "9", "--model", "?!")):
        assert say("create", *words)[0] != 0

    [budget] = BudgetFile(budgets_path(ledger)).read()
    assert (budget.name, budget.limit_pico, budget.window) == ("key-ci-total", 5 * 10**12, "total")


def test_a_key_that_cannot_be_made_leaves_an_older_budget_as_it_was(say: Say, ledger: Path) -> None:
    desk = budget_desk(ledger)
    for window in ("hour", "day"):
        name = f"key-ci-{window}"
        older = Budget(name=name, scope="key", selector="ci", window=window, limit_pico=7)
        desk.set(older, actor="operator")
    more = BudgetRaise(by_pico=3, until=datetime.now(UTC) + timedelta(days=1), reason="release")
    desk.lift("key-ci-day", more, actor="operator")
    before = desk.all()

    assert say("create", "ci", "--budget", "9/day", "--budget", "9", "--model", "?!")[0] != 0

    assert desk.all() == before
    raised = [each for each in read_events(ledger) if each.kind == "budget.raised"]
    assert len(raised) == 1


def test_an_end_in_another_offset_is_listed_in_utc(say: Say, ledger: Path) -> None:
    say("create", "ci")
    end = datetime(2031, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    with closing(SqliteKeys(ledger)) as store:
        [key] = store.listed()
        store.add(structs.replace(key, key_id="k2", name="east", expires_at=end))

    assert "2030-12-31 23:30" in say("list")[1]
