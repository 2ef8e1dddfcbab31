"""Message Batches: API facts, section 3."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.lab.emulator.talking import OLD, Client, long_text, user

BATCHES = "/v1/messages/batches"
DAY = 86_400


def params(**fields: Any) -> dict[str, Any]:
    return {"model": OLD, "max_tokens": 100, "messages": [user()], **fields}


def create(client: Client, *items: dict[str, Any], fault: str = "") -> dict[str, Any]:
    requests = [{"custom_id": f"row-{n}", "params": item} for n, item in enumerate(items)]
    headers = {"x-emulator-fault": fault} if fault else {}
    reply = client.send("POST", BATCHES, {"requests": requests}, headers=headers)
    assert reply.status == 200, reply.body()
    answer: dict[str, Any] = json.loads(reply.body())
    return answer


def results(client: Client, batch_id: str) -> dict[str, Any]:
    reply = client.send("GET", f"{BATCHES}/{batch_id}/results")
    assert reply.status == 200, reply.body()
    rows = [json.loads(line) for line in reply.body().splitlines()]
    return {row["custom_id"]: row["result"] for row in rows}


def test_a_batch_starts_with_everything_processing_and_no_results() -> None:
    batch = create(Client(), params(), params())
    assert batch["processing_status"] == "in_progress"
    assert batch["request_counts"]["processing"] == 2
    assert batch["results_url"] is None
    assert batch["expires_at"] > batch["created_at"]


def test_counts_stay_zero_until_the_whole_batch_has_ended() -> None:
    client = Client(batch_seconds=100)
    batch = create(client, *[params()] * 20)
    client.wait(75)
    halfway = client.get(f"{BATCHES}/{batch['id']}")
    assert halfway["request_counts"] == {
        "processing": 20, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0,
    }  # fmt: skip
    client.wait(25)
    ended = client.get(f"{BATCHES}/{batch['id']}")
    assert ended["processing_status"] == "ended"
    assert ended["request_counts"]["succeeded"] == 20
    assert ended["results_url"].endswith(f"{BATCHES}/{batch['id']}/results")


def test_results_come_in_no_particular_order_and_at_the_batch_tier() -> None:
    client = Client()
    batch = create(client, *[params()] * 30)
    client.wait(60)
    reply = client.send("GET", f"{BATCHES}/{batch['id']}/results")
    order = [json.loads(line)["custom_id"] for line in reply.body().splitlines()]
    assert sorted(order) != order != [f"row-{n}" for n in range(30)]
    done = results(client, batch["id"])
    assert {row["message"]["usage"]["service_tier"] for row in done.values()} == {"batch"}


def test_bad_items_error_on_their_own_and_twice_nested() -> None:
    client = Client()
    bad: list[dict[str, Any]] = [
        {"max_tokens": -1},
        {"stream": True},
        {"speed": "fast"},
        {"max_tokens": 0},
    ]
    batch = create(client, params(), *[params(**one) for one in bad])
    client.wait(60)
    done = results(client, batch["id"])
    assert done["row-0"]["type"] == "succeeded"
    for n in range(1, 5):
        assert done[f"row-{n}"]["type"] == "errored"
        assert done[f"row-{n}"]["error"]["error"]["type"] == "invalid_request_error"
    assert client.get(f"{BATCHES}/{batch['id']}")["request_counts"]["errored"] == 4


def test_only_succeeded_items_are_billed() -> None:
    client = Client()
    create(client, params(), params(max_tokens=-1))
    client.wait(60)
    client.get(BATCHES)
    assert len(client.emulator.books.lines) == 1


@pytest.mark.parametrize(("seconds", "status"), [(DAY - 1, "in_progress"), (DAY, "ended")])
def test_unfinished_items_expire_after_a_day(seconds: float, status: str) -> None:
    client = Client()
    batch = create(client, *[params()] * 20, fault="batch-expire=0.5")
    client.wait(seconds)
    shown = client.get(f"{BATCHES}/{batch['id']}")
    assert shown["processing_status"] == status
    if status == "ended":
        counts = shown["request_counts"]
        assert counts["expired"] > 2
        assert counts["expired"] + counts["succeeded"] == 20
        assert {row["type"] for row in results(client, batch["id"]).values()} == {
            "expired", "succeeded",
        }  # fmt: skip


def test_a_delayed_batch_takes_as_long_as_it_is_told() -> None:
    client = Client()
    batch = create(client, params(), fault="batch-delay=7200")
    client.wait(3600)
    assert client.get(f"{BATCHES}/{batch['id']}")["processing_status"] == "in_progress"
    client.wait(3600)
    assert client.get(f"{BATCHES}/{batch['id']}")["processing_status"] == "ended"


def test_cancelling_leaves_what_was_done_and_cancels_the_rest() -> None:
    client = Client(batch_seconds=100)
    batch = create(client, *[params()] * 30)
    client.wait(75)
    reply = client.send("POST", f"{BATCHES}/{batch['id']}/cancel")
    assert json.loads(reply.body())["processing_status"] == "canceling"
    client.wait(1)
    counts = client.get(f"{BATCHES}/{batch['id']}")["request_counts"]
    assert counts["canceled"] > 0
    assert counts["succeeded"] > 0
    assert counts["canceled"] + counts["succeeded"] == 30


def test_an_ended_batch_cannot_be_cancelled_and_a_running_one_not_deleted() -> None:
    client = Client()
    batch = create(client, params())
    assert client.send("DELETE", f"{BATCHES}/{batch['id']}").status == 400
    client.wait(60)
    assert client.send("POST", f"{BATCHES}/{batch['id']}/cancel").status == 400
    deleted = client.send("DELETE", f"{BATCHES}/{batch['id']}")
    assert json.loads(deleted.body()) == {"id": batch["id"], "type": "message_batch_deleted"}
    assert client.send("GET", f"{BATCHES}/{batch['id']}").status == 404


@pytest.mark.parametrize(("days", "status"), [(28.9, 200), (29, 404)])
def test_results_are_kept_29_days_from_creation(days: float, status: int) -> None:
    client = Client()
    batch = create(client, params())
    client.wait(days * DAY)
    assert client.send("GET", f"{BATCHES}/{batch['id']}/results").status == status
    assert (client.get(f"{BATCHES}/{batch['id']}")["archived_at"] is None) is (status == 200)


def test_results_of_a_running_batch_are_not_there() -> None:
    client = Client()
    batch = create(client, params())
    assert client.send("GET", f"{BATCHES}/{batch['id']}/results").status == 404


def test_batches_are_listed_newest_first_and_page_by_page() -> None:
    client = Client()
    ids = [create(client, params())["id"] for _ in range(5)][::-1]
    page = client.get(f"{BATCHES}?limit=2")
    assert [row["id"] for row in page["data"]] == ids[:2]
    assert (page["has_more"], page["first_id"], page["last_id"]) == (True, ids[0], ids[1])
    page = client.get(f"{BATCHES}?limit=3&after_id={ids[1]}")
    assert [row["id"] for row in page["data"]] == ids[2:]
    assert page["has_more"] is False
    before = client.get(f"{BATCHES}?before_id={ids[2]}&limit=1")
    assert [row["id"] for row in before["data"]] == [ids[1]]


def test_a_batch_belongs_to_its_workspace() -> None:
    client = Client()
    batch = create(client, params())
    other = client.as_key("sk-emu-acme.other")
    assert other.send("GET", f"{BATCHES}/{batch['id']}").status == 404
    assert other.get(BATCHES)["data"] == []


def test_reads_of_the_prompt_cache_are_best_effort() -> None:
    client = Client(batch_hit_ratio=0.5)
    batch = create(client, *[params(system=[long_text()])] * 40)
    client.wait(60)
    done = results(client, batch["id"]).values()
    reads = sum(row["message"]["usage"]["cache_read_input_tokens"] > 0 for row in done)
    assert 8 < reads < 32


def test_a_prefix_mismatch_in_a_batch_drops_the_block() -> None:
    client = Client()
    first = client.ask(model="claude-opus-5-5")
    messages = [user("edited"), {"role": "assistant", "content": first["content"]}, user()]
    batch = create(client, params(model="claude-opus-5-5", messages=messages))
    client.wait(60)
    assert results(client, batch["id"])["row-0"]["type"] == "succeeded"


@pytest.mark.parametrize(
    ("requests", "status"),
    [
        ([], 400),
        ([{"custom_id": "a b", "params": {}}], 400),
        ([{"custom_id": "x" * 65, "params": {}}], 400),
        ([{"custom_id": "x", "params": {}}, {"custom_id": "x", "params": {}}], 400),
        ([{"params": {}}], 400),
        ("none", 400),
        ([{"custom_id": f"r{n}", "params": {}} for n in range(100_001)], 413),
    ],
    ids=["empty", "space", "long", "twice", "no id", "no list", "too many"],
)
def test_a_bad_batch_is_refused_at_once(requests: Any, status: int) -> None:
    assert Client().send("POST", BATCHES, {"requests": requests}).status == status


def test_junk_is_refused() -> None:
    assert Client().send("POST", BATCHES, b"{").status == 400
    assert Client().send("PUT", f"{BATCHES}/msgbatch_1").status == 404
