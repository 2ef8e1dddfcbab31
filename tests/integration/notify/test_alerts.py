"""Alerts arrive at real receivers, under failure and recovery, and over a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from farthing.cli.main import main
from farthing.config import Settings
from farthing.ledger.alert_store import SqliteAlertStore
from farthing.ledger.audit_log import read_events
from tests.contract.exchanges import opened, settled
from tests.integration.notify.endpoints import is_signed, slack, webhook
from tests.integration.notify.running import CLOSED, OPEN, SECRET, addresses, everybody, service

LINES = Path(__file__).parent / "victim.py"


def test_everybody_is_told_when_it_begins_and_when_it_ends_although_they_fail_at_first(
    path, certificates, monkeypatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca))
    with everybody(certificates) as (one, two, three):
        one.script, two.script, three.script = [500, 429], [503], [500, 502, 503]
        with service(path, **addresses(one, two, three)) as (running, _):
            running.breaker(OPEN)
            for endpoint in (one, two, three):
                endpoint.wait(1)
            running.breaker(CLOSED)
            for endpoint in (one, two, three):
                endpoint.wait(2)
        assert "is refused until" in one.documents[0]["text"]
        assert "is over" in one.documents[1]["text"]
        assert [event["event_action"] for event in two.documents] == ["trigger", "resolve"]
        assert len({event["dedup_key"] for event in two.documents}) == 1
        assert [d["alerts"][0]["state"] for d in three.documents] == ["firing", "resolved"]
        assert all(is_signed(headers, body, SECRET) for headers, body in three.attempts)
        assert (len(one.attempts), len(two.attempts), len(three.attempts)) == (4, 3, 5)


def test_a_certificate_that_nobody_vouches_for_is_refused(path, certificates):
    with webhook(SECRET, certificates) as endpoint:
        given: dict[str, Any] = {
            "alerts_webhook_url": endpoint.url,
            "alerts_webhook_secret": SECRET,
        }
        with service(path, **given) as (running, _):
            running.breaker(OPEN)
            store = SqliteAlertStore(path)
            endpoint.until(lambda: bool(store.deliveries("dead")))
            (dead,) = store.deliveries("dead")
            store.close()
        assert dead.why == "ClientConnectorCertificateError"
        assert endpoint.attempts == []


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"])
def test_an_authority_of_your_own_is_named_by_the_environment(
    path, certificates, monkeypatch, variable
):
    monkeypatch.setenv(variable, str(certificates.ca))
    with webhook(SECRET, certificates) as endpoint:
        monkeypatch.setenv("FARTHING_ALERTS_WEBHOOK_URL", endpoint.url)
        monkeypatch.setenv("FARTHING_ALERTS_WEBHOOK_SECRET", SECRET)
        assert main(["alerts", "test"]) == 0
        assert len(endpoint.taken) == 1


@pytest.mark.parametrize("status", [302, 400, 404])
def test_what_no_repetition_mends_is_given_up_listed_journalled_and_sent_again_on_demand(
    path, status, capsys
):
    with slack() as endpoint:
        endpoint.script = [status]
        with service(path, alerts_slack_url=endpoint.url) as (running, _):
            running.breaker(OPEN)
            store = SqliteAlertStore(path)
            endpoint.until(lambda: bool(list(read_events(path))))
            assert len(endpoint.attempts) == 1
            assert main(["alerts", "list", "--ledger", str(path), "--json"]) == 0
            (dead,) = json.loads(capsys.readouterr().out)["dead"]
            assert dead["why"] == f"status {status}"
            assert main(["alerts", "list", "--ledger", str(path)]) == 0
            assert "given up" in capsys.readouterr().out
            assert main(["alerts", "retry", "1", "99", "--ledger", str(path)]) == 2
            assert "no delivery 99 was given up" in (why := capsys.readouterr().err)
            assert "nothing was put back; given up: 1" in why
            assert [one.number for one in store.deliveries("dead")] == [1]
            assert main(["alerts", "retry", "--ledger", str(path)]) == 0
            running.breaker(CLOSED)  # wakes the job; otherwise it looks every half minute
            endpoint.wait(2)
            store.close()
    (event,) = read_events(path)
    assert (event.kind, event.subject, event.facts["why"]) == (
        "alert.undelivered",
        "slack",
        f"status {status}",
    )
    assert ["is refused" in d["text"] for d in endpoint.documents] == [True, True]


def test_calls_that_end_are_listened_to(path):
    with slack() as endpoint, service(path, alerts_slack_url=endpoint.url) as (_, records):
        records.open(opened())
        records.settle(replace_settlement())
        endpoint.wait(1)
        assert "claude-unknown has no price" in endpoint.documents[0]["text"]


def replace_settlement() -> Any:
    from msgspec.structs import replace as changed

    return changed(settled(), cost=None, accounting=None, model_served="claude-unknown")


@pytest.mark.parametrize("is_held", [False, True], ids=["refused", "sent and not answered"])
def test_a_killed_process_loses_no_alert(path, is_held, tmp_path):
    with slack() as endpoint:
        endpoint.script = [] if is_held else [503] * 1000
        if is_held:
            endpoint.held.set()
        environment = {
            "FARTHING_ALERTS_SLACK_URL": endpoint.url,
            "PATH": os.environ["PATH"],
            "NO_PROXY": "127.0.0.1",
        }
        victim = subprocess.Popen(
            [sys.executable, str(LINES), str(path)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        assert victim.stdout is not None
        assert victim.stdout.readline() == "raised\n"
        endpoint.until(lambda: len(endpoint.attempts) >= (1 if is_held else 2))
        victim.send_signal(signal.SIGKILL)
        victim.wait(10)
        victim.stdout.close()
        endpoint.held.clear()
        endpoint.script = []
        before = len(endpoint.taken)
        with service(path, alerts_slack_url=endpoint.url) as (running, _):
            endpoint.wait(before + 1)
            # the circuits of a process that is gone are gone with it
            endpoint.until(lambda: "*breaker is over* key:k1" in endpoint.documents[-1]["text"])
            running.breaker(CLOSED)  # it is over already: nothing new
        texts = {document["text"] for document in endpoint.documents}
        assert any("*breaker* key:k1 is refused" in text for text in texts)
        assert sum("is over" in text for text in texts) == 1


# -- the command


def test_the_test_command_says_what_each_channel_answered(path, certificates, monkeypatch, capsys):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca))
    with everybody(certificates) as (one, two, three):
        for name, value in addresses(one, two, three).items():
            monkeypatch.setenv(f"FARTHING_{name.upper()}", value)
        assert main(["alerts", "test"]) == 0
        assert [event["event_action"] for event in two.documents] == ["trigger", "resolve"]
        one.script = [404]
        assert main(["alerts", "test", "--json", "--channel", "slack"]) == 1
        out = capsys.readouterr().out
        assert json.loads(out.splitlines()[-1]) == {"slack": {"state": "dead", "why": "status 404"}}
        assert (len(one.taken), len(three.taken)) == (1, 1)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["test"], "no channel is set up"),
        (["list", "3"], "numbers belong to"),
        (["list", "--channel", "slack"], "--channel belongs to"),
    ],
)
def test_the_command_says_what_does_not_fit(words, says, capsys):
    assert main(["alerts", *words]) == 2
    assert says in capsys.readouterr().err


def test_without_a_ledger_there_is_nothing_to_list(path, capsys):
    assert main(["alerts", "list", "--ledger", str(path)]) == 1
    assert "no ledger" in capsys.readouterr().err


# -- secrets


def test_secrets_come_from_a_file_that_only_its_owner_may_read(path, tmp_path, monkeypatch, capsys):
    file = tmp_path / "alerts.toml"
    with slack() as endpoint:
        file.write_text(f'slack_url = "{endpoint.url}"\n')
        monkeypatch.setenv("FARTHING_ALERTS_FILE", str(file))
        file.chmod(0o644)
        assert main(["alerts", "test"]) == 2
        assert "chmod 600" in capsys.readouterr().err
        file.chmod(0o600)
        assert main(["alerts", "test"]) == 0
        assert len(endpoint.taken) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('slack_uri = "SECRET"', "sets 'slack_uri'"),
        ("slack_url = 3", "each value is a text"),
        ("slack_url = SECRET", "is not TOML"),
        ('webhook_url = "https://x.test/SECRET"', "belong together"),
        ('slack_url = "http://x.test/SECRET"', "must be an https address"),
    ],
)
def test_a_file_that_does_not_fit_is_named_and_no_value_of_it(
    tmp_path, monkeypatch, capsys, text, says
):
    file = tmp_path / "alerts.toml"
    file.write_text(text)
    file.chmod(0o600)
    monkeypatch.setenv("FARTHING_ALERTS_FILE", str(file))
    assert main(["alerts", "test"]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "SECRET" not in error


def test_a_file_that_is_not_there_and_percents_that_are_none_are_said(monkeypatch, capsys, path):
    monkeypatch.setenv("FARTHING_ALERTS_FILE", "missing.toml")
    assert main(["alerts", "test"]) == 2
    assert "cannot read the file 'missing.toml'" in capsys.readouterr().err
    from farthing.compose.alert_channels import alert_limits
    from farthing.errors import ConfigError

    with pytest.raises(ConfigError, match="'0'"):
        alert_limits(Settings(alerts_budget_percents=("0",)))


def test_secrets_show_nowhere(path, caplog, capsys, monkeypatch):
    with slack() as endpoint:
        endpoint.script = [500] * 99
        given: dict[str, Any] = {
            "alerts_slack_url": endpoint.url,
            "alerts_pagerduty_key": "PAGERSECRET",
            "alerts_pagerduty_url": "http://127.0.0.1:9/none",
        }
        assert "SECRET" not in repr(Settings(**given))
        with service(path, **given) as (running, _):
            running.breaker(OPEN)
            store = SqliteAlertStore(path)
            endpoint.until(lambda: len(store.deliveries("dead")) == 2)
            store.close()
        for name, value in given.items():
            monkeypatch.setenv(f"FARTHING_{name.upper()}", value)
        assert main(["config", "show"]) == 0
        assert "SECRET" not in capsys.readouterr().out + caplog.text
    assert b"SECRET" not in path.read_bytes()
