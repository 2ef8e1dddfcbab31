"""How alerts come to real receivers: grouped, once each, again and again until they are taken."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from farthing.cli.main import main
from farthing.compose import alerting
from farthing.core.alerts import make_alert
from farthing.core.breaker_values import BreakerKey
from farthing.driver.jobs.alerting import RetryLimits
from farthing.ledger.alert_store import SqliteAlertStore
from tests.integration.clock import MovableClock
from tests.integration.notify.endpoints import is_signed, slack, webhook
from tests.integration.notify.running import CLOSED, OPEN, SECRET, addresses, everybody, service


def raise_earlier(path, *models: str, seconds: float = 0.0) -> None:
    """Alerts that are not urgent, as a process before this one has left them."""
    at = datetime.now(UTC) - timedelta(seconds=seconds)
    store = SqliteAlertStore(path)
    store.add([make_alert("unpriced_model", model, at, facts={}) for model in models])
    store.close()


@pytest.fixture
def trusted(certificates, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca))
    return certificates


def test_what_is_not_urgent_waits_and_comes_as_one_digest_to_slack_and_webhook(
    path, trusted, monkeypatch
):
    clock = MovableClock()
    monkeypatch.setattr(alerting, "SystemClock", lambda: clock)
    models = ("claude-a", "claude-b", "claude-c")
    with everybody(trusted) as (one, two, three):
        raise_earlier(path, *models)
        with service(path, alerts_digest_minutes=1, **addresses(one, two, three)) as (running, _):
            running.breaker(OPEN)
            one.wait(1)
            assert "is refused until" in one.documents[0]["text"]  # urgent: before the digest
            assert "claude-a" not in one.documents[0]["text"]
            clock.advance(61)
            running._wake()
            for endpoint, count in ((one, 2), (two, 4), (three, 2)):
                endpoint.wait(count)
    digest = one.documents[1]["text"].splitlines()
    assert digest[0] == "*farthing: 3 alerts*"
    assert [model in line for model, line in zip(models, digest[1:], strict=True)] == [True] * 3
    assert [alert["scope"] for alert in three.documents[1]["alerts"]] == list(models)
    assert len({event["dedup_key"] for event in two.documents}) == 4
    assert all(is_signed(headers, body, SECRET) for headers, body in three.attempts)


def test_what_goes_on_is_told_once_and_what_comes_back_under_the_same_key(path, trusted):
    with everybody(trusted) as (one, two, three):
        with service(path, **addresses(one, two, three)) as (running, _):
            for change, count in ((OPEN, 1), (CLOSED, 2), (OPEN, 3)):
                for _ in range(3):  # only the first is news
                    running.breaker(change)
                for endpoint in (one, two, three):
                    endpoint.wait(count)
            other = replace(OPEN, key=BreakerKey("key", "k2"))
            running.breaker(other)
            two.wait(4)
        events = two.documents
    actions = [event["event_action"] for event in events]
    assert actions == ["trigger", "resolve", "trigger", "trigger"]
    assert len({event["dedup_key"] for event in events[:3]}) == 1
    assert events[3]["dedup_key"] != events[0]["dedup_key"]
    assert len({d["message_id"] for d in three.documents}) == len(three.documents)


def test_each_pause_is_longer_than_the_one_before_and_nothing_overtakes(path):
    retries = RetryLimits(first_seconds=0.04, longest_seconds=10, attempts=9)
    with slack() as endpoint:
        endpoint.script = [503] * 4
        with service(path, retries, alerts_slack_url=endpoint.url) as (running, _):
            running.breaker(OPEN)
            endpoint.until(lambda: len(endpoint.attempts) >= 1)
            running.breaker(CLOSED)
            endpoint.wait(2)
    pauses = [later - earlier for earlier, later in pairwise(endpoint.at[:5])]
    # each is 0.04 × 2ⁿ, by half or whole: the dice keep gateways from knocking at once
    assert all(pause >= 0.02 * 2**n for n, pause in enumerate(pauses))
    assert "is refused" in endpoint.documents[0]["text"]
    assert "is over" in endpoint.documents[1]["text"]


def test_a_receiver_that_says_how_long_is_left_alone_so_long(path):
    with slack() as endpoint:
        endpoint.script, endpoint.retry_after = [429], "1"
        retries = RetryLimits(first_seconds=0.02, longest_seconds=2, attempts=5)
        with service(path, retries, alerts_slack_url=endpoint.url) as (running, _):
            running.breaker(OPEN)
            endpoint.wait(1)
    assert endpoint.at[1] - endpoint.at[0] >= 1


def test_what_was_given_up_is_kept_over_a_restart_and_comes_signed_anew_when_asked_for(
    path, trusted
):
    given: dict[str, Any] = {"alerts_webhook_secret": SECRET}
    with webhook(SECRET, trusted) as endpoint:
        given["alerts_webhook_url"] = endpoint.url
        endpoint.script = [500] * 5
        with service(path, **given) as (running, _):
            running.breaker(OPEN)
            store = SqliteAlertStore(path)
            endpoint.until(lambda: bool(store.deliveries("dead")))
            store.close()
        assert (len(endpoint.attempts), endpoint.taken) == (5, [])

        assert main(["alerts", "retry", "--ledger", str(path)]) == 0
        with service(path, **given):
            endpoint.wait(1)
    assert endpoint.documents[0]["alerts"][0]["state"] == "firing"
    assert len({headers["x-farthing-message"] for headers, _ in endpoint.attempts[:6]}) == 1
    assert is_signed(*endpoint.taken[0], SECRET)
    assert not is_signed(*endpoint.taken[0], "another secret")
    headers, body = endpoint.taken[0]
    assert not is_signed(headers, body.replace(b"firing", b"resolved"), SECRET)
