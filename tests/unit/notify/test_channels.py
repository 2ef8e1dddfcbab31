"""What Slack, PagerDuty and a webhook are sent, byte for byte, and what their answers mean."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from farthing.core.alerts import Alert, Message, make_alert
from farthing.errors import ConfigError
from farthing.notify.channels import PagerDuty, Slack, Webhook, verdict_of
from farthing.notify.sending import check_address, trusting

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
URL = "https://hooks.test/services/T0/B0/SECRET"


def alert(scope: str = "claude-new") -> Alert:
    return make_alert("unpriced_model", scope, NOON, facts={})


def message(*alerts: Alert) -> Message:
    return Message(message_id="al_1", alerts=alerts)


def test_slack_gets_a_text_in_which_names_mention_nobody():
    out = Slack(url=URL).outgoing(message(alert("<!channel> & <b>")), NOON)
    text = json.loads(out.body)["text"]
    assert "&lt;!channel&gt; &amp; &lt;b&gt; has no price" in text
    assert "<" not in text


def test_slack_gets_many_alerts_as_lines_and_is_told_how_many_are_left_out():
    alerts = [alert(f"m{number}") for number in range(25)]
    over = replace(alerts[0], state="resolved")
    text = json.loads(Slack(url=URL).outgoing(message(over, *alerts), NOON).body)["text"]
    lines = text.splitlines()
    assert lines[0] == "*farthing: 26 alerts*"
    assert lines[1].startswith(":white_check_mark: *unpriced model is over*")
    assert lines[-1] == "and 6 more: `farthing alerts list`"


def test_pagerduty_gets_a_trigger_and_a_resolve_with_one_dedup_key():
    channel = PagerDuty(url=URL, routing_key="r" * 32)
    first = json.loads(channel.outgoing(message(alert()), NOON).body)
    over = replace(alert(), state="resolved")
    last = json.loads(channel.outgoing(message(over), NOON).body)
    assert first["event_action"] == "trigger"
    assert first["routing_key"] == "r" * 32
    assert set(first["payload"]) >= {"summary", "source", "severity"}
    assert first["payload"]["severity"] == "warning"
    assert last == {
        "routing_key": "r" * 32,
        "event_action": "resolve",
        "dedup_key": first["dedup_key"],
    }


def test_pagerduty_gets_no_more_summary_than_it_takes():
    long = replace(alert(), summary="x" * 5000)
    event = json.loads(PagerDuty(url=URL, routing_key="r").outgoing(message(long), NOON).body)
    assert len(event["payload"]["summary"]) == 1024


def test_the_webhook_is_signed_over_time_and_body():
    out = Webhook(url=URL, secret="s3cret").outgoing(message(alert()), NOON)
    headers = dict(out.headers)
    stamp, digest = (part.split("=")[1] for part in headers["x-farthing-signature"].split(","))
    wanted = hmac.new(b"s3cret", stamp.encode() + b"." + out.body, hashlib.sha256).hexdigest()
    assert digest == wanted
    assert int(stamp) == int(NOON.timestamp())
    assert headers["x-farthing-message"] == "al_1"
    (sent,) = json.loads(out.body)["alerts"]
    assert sent["dedup_key"] == alert().dedup_key
    assert sent["state"] == "firing"


@pytest.mark.parametrize(
    "value",
    [
        Slack(url=URL),
        PagerDuty(url="https://x.test", routing_key="SECRET"),
        Webhook(url=URL, secret="SECRET"),
        Slack(url=URL).outgoing(message(alert()), NOON),
        Webhook(url=URL, secret="SECRET").outgoing(message(alert()), NOON),
    ],
)
def test_no_repr_shows_an_address_or_a_secret(value):
    assert "SECRET" not in repr(value)


@pytest.mark.parametrize(
    ("status", "after", "state", "seconds"),
    [
        (200, None, "delivered", None),
        (202, None, "delivered", None),
        (302, None, "dead", None),
        (400, None, "dead", None),
        (404, None, "dead", None),
        (408, None, "again", None),
        (425, None, "again", None),
        (429, "30", "again", 30.0),
        (429, "Wed, 21 Oct 2026 07:28:00 GMT", "again", None),
        (500, None, "again", None),
        (503, "", "again", None),
    ],
)
def test_what_an_answer_means(status, after, state, seconds):
    verdict = verdict_of(status, after)
    assert (verdict.state, verdict.after_seconds) == (state, seconds)


@pytest.mark.parametrize("url", ["https://x.test/y", "http://127.0.0.1:9/x", "http://localhost/x"])
def test_addresses_that_keep_secrets_are_taken(url):
    check_address(url, "alerts.slack_url")


@pytest.mark.parametrize(
    "url",
    [
        "http://x.test/SECRET",
        "x.test/SECRET",
        "ftp://x/SECRET",
        "ftp://localhost/SECRET",
        "https:///SECRET",
        "https://[SECRET",
        "https://x.test:SECRET/y",
        "https://x.test:0/SECRET",
        "http://127.0.0.1:65536/SECRET",
    ],
)
def test_what_is_no_address_or_one_in_the_clear_is_refused_without_showing_it(url):
    with pytest.raises(ConfigError, match="must be an https address") as caught:
        check_address(url, "alerts.slack_url")
    assert "SECRET" not in str(caught.value)


def test_authorities_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"missing\.pem"):
        trusting(str(tmp_path / "missing.pem"), None)
