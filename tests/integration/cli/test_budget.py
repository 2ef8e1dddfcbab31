"""``farthing budget`` and ``/farthing/v1/budgets``: the file, the journal, a gateway that runs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest

from farthing.cli.main import main
from farthing.compose.budgets import budget_desk
from farthing.core.budgets import Budget, BudgetRaise
from farthing.core.budgets_account import Claim, Reservation
from farthing.errors import ConfigError, LedgerError
from farthing.ledger import SqliteLedger
from farthing.ledger.audit_log import read_events
from farthing.ledger.budgets_file import BudgetFile, budgets_path, zone_of
from farthing.ledger.budgets_reading import standings
from farthing.ledger.checking import check
from tests.contract.exchanges import COST, opened, settled
from tests.integration.gateway.keyed import Keyed, keyed_gateway
from tests.integration.gateway.raw_http import RawUpstream, raw_upstream
from tests.integration.gateway.test_bytes import JSON, MESSAGE
from tests.waiting import eventually

Say = Callable[..., tuple[int, str, str]]
PATH = "/farthing/v1/budgets"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def say(ledger: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    monkeypatch.setenv("FARTHING_CONFIG", "")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(ledger.parent))

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["budget", *words, "--ledger", str(ledger)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def budget(name: str, path: Path) -> Budget:
    return next(each for each in BudgetFile(budgets_path(path)).read() if each.name == name)


# -- the command ----------------------------------------------------------------------------------


def test_a_budget_is_set_raised_shown_and_removed(say: Say, ledger: Path) -> None:
    zone = ("--zone", "Europe/Berlin")
    code, out, _ = say("set", "team", "--limit", "20", "--window", "day", *zone)
    assert (code, out.splitlines()[0]) == (
        0,
        "team: $20.00 over everything, window day (Europe/Berlin), ample",
    )

    code, out, _ = say("raise", "team", "--by", "10", "--for", "6h", "--reason", "release")
    assert code == 0
    assert "team: $30.00" in out
    assert "release" in out
    assert "begins anew" in out

    say("set", "team", "--limit", "25", "--window", "day", *zone)
    assert budget("team", ledger).limit_at(datetime.now(UTC)) == 35 * 10**12

    assert say("rm", "team")[1] == "team is removed\n"
    assert say("list")[1].startswith("There is no budget")
    code, _, err = say("show", "team")
    assert code == 2
    assert "no budget 'team'" in err


def test_every_option_comes_back_as_it_was_said(say: Say) -> None:
    words = ["--limit", "0.50", "--scope", "key", "--selector", "ci", "--window", "month"]
    words += ["--mode", "strict", "--thresholds", "50,80%", "--ladder", "max_tokens, note"]
    words += ["--min-tokens", "300", "--passes", "2", "--on-unpriced", "allow"]
    words += ["--on-fault", "refuse", "--json"]

    said = json.loads(say("set", "ci", *words)[1])

    assert said.pop("stands") == []
    assert said == {
        "name": "ci",
        "scope": "key",
        "limit_usd": "0.5",
        "window": "month",
        "selector": "ci",
        "mode": "strict",
        "thresholds": [50, 80],
        "ladder": ["max_tokens", "note"],
        "min_tokens": 300,
        "passes": 2,
        "on_unpriced": "allow",
        "on_fault": "refuse",
    }
    assert json.loads(say("list", "--json")[1])[0]["name"] == "ci"
    assert "key ci" in say("list")[1]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("set", "x"), "say how much"),
        (("set", "x", "--limit", "much"), "dollars"),
        (("set", "x", "--limit", "1", "--zone", "Mars/Base"), "time zone"),
        (("set", "x", "--limit", "1", "--thresholds", "half"), "percentages"),
        (("set", "x", "--limit", "1", "--ladder", "pray"), "effort, model, max_tokens, note"),
        (("set", "a/b", "--limit", "1"), "letters"),
        (("list", "x"), "takes no name"),
        (("show",), "takes no name"),
        (("show", "x", "--limit", "1"), "--limit belongs"),
        (("list", "--for", "1h"), "--for belongs"),
        (("raise", "x", "--by", "1"), "--reason"),
        (("raise", "x", "--by", "y", "--for", "1h", "--reason", "r"), "dollars"),
        (("raise", "x", "--by", "1", "--for", "1h", "--reason", ""), "a reason"),
        (("raise", "x", "--by", "1", "--for", "1h", "--reason", "r" * 201), "a reason"),
        (("raise", "x", "--by", "0", "--for", "1h", "--reason", "r"), "more than nothing"),
        (("raise", "x", "--by", "1", "--for", "1h", "--reason", "r"), "no budget 'x'"),
    ],
)
def test_what_is_wrong_is_said_and_changes_nothing(
    say: Say, ledger: Path, words: tuple[str, ...], why: str
) -> None:
    code, _, err = say(*words)

    assert (code, why in err) == (2, True), err
    assert not budgets_path(ledger).exists()


@pytest.mark.parametrize("reason", ["", "r" * 201, "\udcff"], ids=["none", "long", "no text"])
def test_a_raise_that_could_not_be_read_again_does_not_lock_the_file(
    say: Say, ledger: Path, reason: str
) -> None:
    say("set", "team", "--limit", "20")

    code, _, err = say("raise", "team", "--by", "1", "--for", "1h", "--reason", reason)

    assert (code, err.startswith("farthing: ")) == (2, True), err
    assert budget("team", ledger).raises == ()
    assert say("rm", "team")[0] == 0


def test_what_nobody_can_read_is_not_written(ledger: Path) -> None:
    desk = budget_desk(ledger)
    kept = desk.set(Budget(name="a", scope="everything", limit_pico=1), actor="me")
    wrong = replace(kept, raises=(BudgetRaise(by_pico=-1, until=datetime.now(UTC), reason="r"),))

    with pytest.raises(ConfigError, match="more than nothing"):
        desk.set(wrong, actor="me")

    assert desk.all() == (kept,)


def test_a_limit_is_shown_with_all_its_places(say: Say) -> None:
    _, out, _ = say("set", "small", "--limit", "0.0035")

    assert "small: $0.0035 over" in out
    assert "$0.0035 " in say("list")[1]


def test_every_change_is_in_the_journal(say: Say, ledger: Path) -> None:
    SqliteLedger(ledger).close()
    say("set", "team", "--limit", "20")
    say("raise", "team", "--by", "10", "--for", "6h", "--reason", "release")
    say("rm", "team")

    found = [(each.kind, each.subject) for each in read_events(ledger)]
    assert found == [
        ("budget.changed", "budget team"),
        ("budget.raised", "budget team"),
        ("budget.changed", "budget team"),
    ]


def test_what_is_spent_and_held_is_shown_for_each_value(say: Say, ledger: Path) -> None:
    say("set", "each", "--limit", "1", "--scope", "task")
    say("set", "today", "--limit", "1", "--window", "day")
    now = datetime.now(UTC)
    day = f"everything@day:{now:%Y-%m-%d}T00:00Z"
    with closing(SqliteLedger(ledger)) as book:
        for name, keys in (("x1", ("task:t1", day)), ("x2", ("task:t2", "task:t2@total"))):
            book.open(opened(name, opened_at=now, budget_keys=keys))
        book.settle(settled("x1"))
        claim = Claim(key="task:t2", limit_pico=100, worst_pico=70, likely_pico=70)
        book.reserve(Reservation(reservation_id="r3", claims=(claim,)), now=now)
        book.open(opened("x3", budget_keys=("task:t2",), reservation_id="r3", hold_pico=70))
        book.flush()

        each, today = budget("each", ledger), budget("today", ledger)
        found = [(s.key, s.spent_pico, s.held_pico) for s in standings(ledger, each, now)]
        assert found == [("task:t2", 0, 70), ("task:t1", COST.total, 0)]
        [one] = standings(ledger, today, now)
        assert (one.key, one.spent_pico, one.held_pico) == (day, COST.total, 0)
        assert one.resets_at is not None
        assert "task:t1" in say("show", "each")[1]
        assert "not in this window" in say("show", "today")[1]
    assert [each.level for each in check(ledger) if each.name == "budgets"] == ["ok"]
    assert standings(ledger.with_name("none.db"), each, now) == []


# -- the file -------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_read_says_what_is_wrong(ledger: Path) -> None:
    file = BudgetFile(budgets_path(ledger))
    for text, why in [
        ("[[budgets]]\nname = 'x'\nscope = 'all'\nlimit_usd = 1", "scope"),
        ("[[budgets]]\nname = 'x'\nscope = 'task'\nlimit_usd = 1\nlimt = 2", "limt"),
        ("[[budgets]]\nname = 'x'\nscope = 'task'\nlimit_usd = 1\n" * 2, "two budgets"),
        ("budgets", "docs/budgets.md"),
    ]:
        file.path.write_text(text)
        with pytest.raises(ConfigError, match=why):
            file.read()


def test_dollars_of_the_file_are_never_floats(ledger: Path) -> None:
    file = BudgetFile(budgets_path(ledger))
    file.path.write_text("[[budgets]]\nname = 'x'\nscope = 'task'\nlimit_usd = 0.1\n")

    assert file.read()[0].limit_pico == 10**11


def test_a_folder_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    file = BudgetFile(tmp_path / "file" / "budgets.toml")

    with pytest.raises((LedgerError, ConfigError), match="cannot"):
        file.change(lambda budgets: budgets)


def test_processes_that_change_it_together_lose_nothing(ledger: Path) -> None:
    SqliteLedger(ledger).close()
    desks = [budget_desk(ledger) for _ in range(4)]
    threads = [
        Thread(
            target=desk.set,
            args=(Budget(name=f"b{number}", scope="everything", limit_pico=1),),
            kwargs={"actor": "test"},
        )
        for number, desk in enumerate(desks)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(each.name for each in desks[0].all()) == ["b0", "b1", "b2", "b3"]


def test_an_unknown_zone_is_the_operators_to_mend() -> None:
    assert str(zone_of("Europe/Berlin")) == "Europe/Berlin"
    for name in ("Mars/Base", "../etc/passwd", ""):
        with pytest.raises(ConfigError, match="time zone"):
            zone_of(name)


# -- a gateway that runs --------------------------------------------------------------------------


@pytest.fixture
def upstream() -> Iterator[RawUpstream]:
    with raw_upstream() as running:
        yield running


@pytest.fixture
def keyed(upstream: RawUpstream, tmp_path: Path) -> Iterator[Keyed]:
    with keyed_gateway(upstream.url, tmp_path) as running:
        yield running


def put(keyed: Keyed, name: str, document: dict[str, object], *, role: str = "admin"):
    body = json.dumps(document).encode()
    return keyed.ask("PUT", f"{PATH}/{name}", body, key=keyed.texts[role], headers=JSON)


def asked(keyed: Keyed):
    return keyed.ask("POST", "/v1/messages", MESSAGE, key=keyed.texts["client"], headers=JSON)


def test_a_budget_of_the_api_is_in_force_when_it_is_answered(keyed: Keyed) -> None:
    made = put(keyed, "none", {"scope": "everything", "limit_usd": "0", "window": "day"})
    assert (made.status, json.loads(made.body)["limit_usd"]) == (200, "0")

    refused = asked(keyed)

    assert (refused.status, refused.values(b"x-should-retry")) == (402, [b"false"])
    message = json.loads(refused.body)["error"]["message"]
    assert "'none'" in message
    assert "begins anew" in message
    shown = keyed.ask("GET", f"{PATH}/none", key=keyed.texts["viewer"])
    assert json.loads(shown.body)["name"] == "none"
    listed = keyed.ask("GET", PATH, key=keyed.texts["viewer"])
    assert len(json.loads(listed.body)["budgets"]) == 1
    assert keyed.ask("DELETE", f"{PATH}/none", key=keyed.texts["admin"]).status == 200
    assert asked(keyed).status != 402


def test_a_gateway_that_runs_takes_over_what_the_command_changes(keyed: Keyed, say: Say) -> None:
    assert asked(keyed).status != 402
    say("set", "none", "--limit", "0")

    assert eventually(lambda: asked(keyed).status == 402)


def test_a_raise_of_the_api_ends(keyed: Keyed) -> None:
    put(keyed, "none", {"scope": "everything", "limit_usd": "0"})
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    more = json.dumps({"by_usd": "5", "until": until, "reason": "demo"}).encode()
    path, admin = f"{PATH}/none/raises", keyed.texts["admin"]

    assert keyed.ask("POST", path, more, key=admin, headers=JSON).status == 200
    assert asked(keyed).status != 402
    assert keyed.ask("POST", path, b"{}", key=admin, headers=JSON).status == 400


def _raised(by_usd: str, until: str) -> bytes:
    more = {"by_usd": by_usd, "until": until, "reason": "r"}
    return json.dumps({"scope": "everything", "limit_usd": "1", "raises": [more]}).encode()


def test_a_raise_that_comes_with_its_budget_is_in_the_journal(keyed: Keyed) -> None:
    body = _raised("1", "2100-01-01T00:00:00Z")
    admin = keyed.texts["admin"]
    assert keyed.ask("PUT", f"{PATH}/x", body, key=admin, headers=JSON).status == 200

    raised = [each for each in read_events(keyed.ledger) if each.kind == "budget.raised"]

    assert [each.facts["by_usd"] for each in raised] == ["1"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", f"{PATH}/unknown", b"", 404),
        ("DELETE", f"{PATH}/unknown", b"", 404),
        ("PUT", f"{PATH}/x", b'{"scope":"all","limit_usd":"1"}', 400),
        ("PUT", f"{PATH}/x", b'{"name":"y","scope":"task","limit_usd":"1"}', 400),
        ("PUT", f"{PATH}/x", b"[]", 400),
        ("PUT", f"{PATH}/x", _raised("-1", "2030-01-01T00:00:00Z"), 400),
        ("PUT", f"{PATH}/x", _raised("1", "9999-12-31T23:59:59-12:00"), 400),
        ("POST", PATH, b"{}", 405),
    ],
)
def test_what_the_api_cannot_do_it_says(
    keyed: Keyed, method: str, path: str, body: bytes, status: int
) -> None:
    headers = JSON if body else None
    answer = keyed.ask(method, path, body, key=keyed.texts["admin"], headers=headers)
    assert answer.status == status


@pytest.mark.parametrize("role", ["viewer", "client"])
def test_who_may_only_look_changes_nothing(keyed: Keyed, role: str) -> None:
    answer = put(keyed, "x", {"scope": "everything", "limit_usd": "0"}, role=role)

    assert answer.status == 403
    assert not budgets_path(keyed.ledger).exists()


def test_a_broken_file_leaves_the_budgets_in_force_as_they_were(keyed: Keyed) -> None:
    put(keyed, "none", {"scope": "everything", "limit_usd": "0"})
    budgets_path(keyed.ledger).write_text("budgets = 7")
    time.sleep(0.6)

    assert asked(keyed).status == 402
