"""Rate limits, injected faults, latency: API facts, sections 4.4 and 4.5."""

from __future__ import annotations

import json
from typing import Any

import pytest

from farthing.errors import ConfigError
from farthing.lab.emulator import TYPICAL, LatencyProfile
from farthing.lab.emulator.faults import NO_FAULT, Fault, parse_fault
from farthing.lab.emulator.latency import find_profile
from tests.unit.lab.emulator.talking import NEW, OLD, Client, long_text, user


def served(client: Client, count: int, **fields: Any) -> int:
    """How many of so many requests are served."""
    statuses = [
        client.send("POST", "/v1/messages", client.body(**fields)).status for _ in range(count)
    ]
    assert set(statuses) <= {200, 429}
    return statuses.count(200)


def test_a_start_tier_serves_1000_requests_at_once() -> None:
    assert served(Client(tier="start"), 1010) == 1000


def test_a_bucket_refills_continuously() -> None:
    client = Client(tier="start")
    served(client, 1000)
    client.wait(6)  # a tenth of a minute: a tenth of the limit
    assert served(client, 150) == 100


def test_a_refusal_says_how_long_to_wait_and_waiting_helps() -> None:
    client = Client(tier="start")
    served(client, 1000)
    reply = client.send("POST", "/v1/messages", client.body())
    assert json.loads(reply.body())["error"]["type"] == "rate_limit_error"
    client.wait(float(reply.headers["retry-after"]))
    assert served(client, 1) == 1


def test_all_fable_models_share_a_bucket_and_opus_5_5_has_its_own() -> None:
    client = Client(tier="start")
    served(client, 1000, model="claude-fable-5")
    assert served(client, 1, model="claude-mythos-5-1") == 0
    assert served(client, 1, model=NEW) == 1


def test_organizations_have_buckets_of_their_own() -> None:
    client = Client(tier="start")
    served(client, 1000)
    assert served(client.as_key("sk-emu-other"), 1) == 1


def test_cache_reads_do_not_count_toward_input_tokens() -> None:
    client = Client(tier="start")
    fields = {"model": "claude-fable-5", "system": [long_text(120_000)]}
    assert served(client, 30, **fields) == 30
    assert served(client, 30, model="claude-fable-5", messages=[user("with " * 120_000)]) == 3


def test_output_tokens_count_when_they_are_produced() -> None:
    client = Client(tier="start")
    told = {"x-emulator-answer": "output=60000 thinking=0"}
    fields = {"model": "claude-fable-5", "max_tokens": 100_000}
    for _ in range(2):
        client.ask(told, **fields)
    assert client.refused(told, **fields)["status"] == 429


def test_every_answer_tells_the_limits() -> None:
    client = Client(tier="build")
    headers = client.send("POST", "/v1/messages", client.body()).headers
    assert headers["anthropic-ratelimit-requests-limit"] == "5000"
    assert headers["anthropic-ratelimit-requests-remaining"] == "4999"
    assert headers["anthropic-ratelimit-input-tokens-remaining"] == "5000000"
    assert headers["anthropic-ratelimit-output-tokens-limit"] == "1000000"
    assert headers["anthropic-ratelimit-tokens-limit"] in ("5000000", "1000000")
    assert headers["anthropic-ratelimit-requests-reset"].endswith("Z")


def test_counting_and_batches_have_limits_of_their_own() -> None:
    client = Client(tier="start")
    statuses = [
        client.send("POST", "/v1/messages/count_tokens", client.body(max_tokens=...)).status
        for _ in range(2001)
    ]
    assert (statuses[-2], statuses[-1]) == (200, 429)
    assert served(client, 1) == 1


def test_an_unlimited_tier_does_not_refuse() -> None:
    assert served(Client(), 2_000) == 2_000


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (402, "billing_error"),
        (403, "permission_error"),
        (409, "conflict_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_a_status_can_be_asked_for_by_header(status: int, kind: str) -> None:
    error = Client().refused({"x-emulator-fault": f"status={status}"})
    assert (error["status"], error["type"]) == (status, kind)


def test_retry_after_is_sent_as_asked() -> None:
    client = Client()
    headers = {"x-emulator-fault": "status=429 retry-after=7"}
    reply = client.send("POST", "/v1/messages", client.body(), headers=headers)
    assert reply.headers["retry-after"] == "7"


def test_an_enforced_spend_limit_is_a_429_without_retry_after() -> None:
    client = Client()
    headers = {"x-emulator-fault": "spend-limit"}
    reply = client.send("POST", "/v1/messages", client.body(), headers=headers)
    assert "retry-after" not in reply.headers
    error = json.loads(reply.body())["error"]
    assert error["details"]["error_code"] == "enforced_spend_limit_reached"


def test_a_limit_of_ones_own_is_a_400_that_is_not_retried() -> None:
    client = Client()
    headers = {"x-emulator-fault": "own-limit"}
    reply = client.send("POST", "/v1/messages", client.body(), headers=headers)
    assert (reply.status, reply.headers["x-should-retry"]) == (400, "false")


def test_a_planned_burst_hits_the_next_requests_and_then_ends() -> None:
    client = Client()
    client.emulator.faults.add("status=529", times=2, path="/v1/messages")
    client.get("/v1/models")
    assert [client.refused()["status"] for _ in range(2)] == [529, 529]
    client.ask()


def test_planned_faults_can_be_called_off() -> None:
    client = Client()
    client.emulator.faults.add("status=529")
    client.emulator.faults.clear()
    client.ask()


def test_a_refused_request_is_neither_billed_nor_cached() -> None:
    client = Client()
    client.refused({"x-emulator-fault": "status=529"}, system=[long_text()])
    assert client.emulator.books.lines == []
    assert client.cached(system=[long_text()])[0] == 0


def test_an_evicted_prompt_is_written_again() -> None:
    client = Client()
    client.ask(system=[long_text()])
    usage = client.ask({"x-emulator-fault": "evict"}, system=[long_text()])["usage"]
    assert usage["cache_creation_input_tokens"] > 6000


@pytest.mark.parametrize("text", ["explode", "status=soon", "cut=x"])
def test_an_unknown_fault_is_the_operators_error(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_fault(text)


def test_fault_words_are_read() -> None:
    assert parse_fault("") == NO_FAULT
    assert parse_fault("status=529, retry-after=0.5; cut=3 evict") == Fault(
        status=529, retry_after=0.5, cut=3, evict=True
    )


def timing(client: Client, **fields: Any) -> tuple[float, float]:
    headers = client.send("POST", "/v1/messages", client.body(**fields)).headers
    return (
        float(headers["x-emulator-first-byte-seconds"]),
        float(headers["x-emulator-duration-seconds"]),
    )


def test_the_time_to_first_token_grows_with_uncached_prompt_tokens() -> None:
    client = Client(latency=TYPICAL)
    cold, _ = timing(client, system=[long_text(100_000)])
    client.wait(60)
    warm, _ = timing(client, system=[long_text(100_000)])
    assert cold > 6
    assert warm < 1.2


def test_the_rest_grows_with_output_tokens() -> None:
    client = Client(latency=LatencyProfile(seconds_per_output_token=0.01))
    client.emulator.load_script([{"content": "x", "output_tokens": 700}])
    assert timing(client) == (0, 7)


def test_latency_can_be_added_to_one_request() -> None:
    client = Client()
    headers = {"x-emulator-fault": "latency=2.5"}
    reply = client.send("POST", "/v1/messages", client.body(), headers=headers)
    assert [piece.at for piece in reply.pieces] == [2.5]


def test_parallel_first_calls_each_pay_the_write_while_the_first_answer_has_not_begun() -> None:
    client = Client(latency=LatencyProfile(base_seconds=2))
    at = {"x-emulator-at": str(client.emulator.clock.now())}
    reads = [client.ask(at, system=[long_text()])["usage"]["cache_read_input_tokens"] for _ in "ab"]
    assert reads == [0, 0]
    later = {"x-emulator-at": str(client.emulator.clock.now() + 2)}
    assert client.ask(later, system=[long_text()])["usage"]["cache_read_input_tokens"] > 6000


def test_profiles_have_names() -> None:
    assert find_profile("typical") == TYPICAL
    with pytest.raises(ConfigError, match="slowly"):
        find_profile("slowly")


def test_model_names_do_not_matter_for_opus_4() -> None:
    client = Client(tier="start")
    served(client, 500, model=OLD)
    assert served(client, 510, model="claude-opus-4-8") == 500
