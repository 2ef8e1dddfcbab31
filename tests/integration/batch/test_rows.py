"""``farthing.batch`` over the SDK and the emulator: rows in, texts or reasons out."""

from __future__ import annotations

import json
import threading
from typing import Any

import anthropic
import pytest

import farthing
from farthing.errors import InvalidRequest, RequestError
from farthing.lab.emulator import RunningEmulator

ROWS: list[farthing.batch.Row] = [
    {"custom_id": f"doc-{n}", "user_message": f"Summarize document {n}."} for n in range(5)
]


def sent_items(emu: RunningEmulator) -> list[dict[str, Any]]:
    (created,) = [r for r in emu.requests if r.http_request.method == "POST"]
    items: list[dict[str, Any]] = json.loads(created.http_request.body)["requests"]
    return items


def test_the_rows_of_the_articles_go_in_as_they_are(
    client: anthropic.Anthropic, emu: RunningEmulator
) -> None:
    id_ = farthing.batch.submit(ROWS, client=client)
    emu.advance(61)

    rows = farthing.batch.results(id_, client=client)

    assert id_.startswith("msgbatch_")
    assert sorted(row["custom_id"] for row in rows) == [row["custom_id"] for row in ROWS]
    assert all(row.keys() == {"custom_id", "text", "usage"} for row in rows)
    assert all(isinstance(row.get("text"), str) for row in rows)


def test_the_usage_of_a_row_is_priced_as_a_batch(
    client: anthropic.Anthropic, emu: RunningEmulator
) -> None:
    id_ = farthing.batch.submit(ROWS[:1], client=client, model="claude-sonnet-5-5")
    emu.advance(61)

    (row,) = farthing.batch.results(id_, client=client)

    assert "usage" in row
    half = farthing.cost_per_task("claude-sonnet-5-5", usage=row["usage"])
    full = farthing.cost_per_task("claude-sonnet-5-5", usage=row["usage"], batch=False)
    assert 0 < half == full / 2


def test_a_batch_under_way_has_no_results_yet(
    client: anthropic.Anthropic, emu: RunningEmulator
) -> None:
    id_ = farthing.batch.submit(ROWS, client=client)

    assert farthing.batch.results(id_, wait=False, client=client) == []


def test_waiting_ends_when_the_batch_does(
    client: anthropic.Anthropic, emu: RunningEmulator
) -> None:
    id_ = farthing.batch.submit(ROWS, client=client)
    later = threading.Timer(0.3, emu.advance, [61])
    later.start()

    rows = farthing.batch.results(id_, client=client, poll_seconds=0.05)

    later.join()
    assert len(rows) == 5


def test_a_row_that_expired_says_so(client: anthropic.Anthropic, emu: RunningEmulator) -> None:
    emu.fault("batch-expire=1")
    id_ = farthing.batch.submit(ROWS[:1], client=client)
    emu.advance(25 * 3600)

    assert farthing.batch.results(id_, client=client) == [
        {"custom_id": "doc-0", "error": "expired"}
    ]


def test_a_row_that_failed_says_why(client: anthropic.Anthropic, emu: RunningEmulator) -> None:
    params = {"model": "claude-unheard-of", "max_tokens": 5} | hello()
    bad = {"custom_id": "a", "params": params}
    id_ = farthing.batch.submit([bad], client=client)
    emu.advance(61)

    (row,) = farthing.batch.results(id_, client=client)

    assert "error" in row
    assert row["error"].startswith("not_found_error: ")


def test_each_row_may_say_more_than_its_text(
    client: anthropic.Anthropic, emu: RunningEmulator
) -> None:
    rows: list[dict[str, Any]] = [
        {"custom_id": "a", "user_message": "A", "task_type": "classify"},
        {"custom_id": "b", "user_message": "B", "max_tokens": 7, "stop_sequences": ["."]},
        {"custom_id": "c", "params": {"model": "claude-opus-5-5", "max_tokens": 9} | hello()},
    ]
    farthing.batch.submit(rows, system="Be brief.", client=client)

    short, longer, whole = [item["params"] for item in sent_items(emu)]
    assert short["model"] == "claude-haiku-5-5"
    assert short["system"] == "Be brief."
    assert (longer["model"], longer["max_tokens"]) == ("claude-sonnet-5-5", 7)
    assert longer["stop_sequences"] == ["."]
    assert whole == {"model": "claude-opus-5-5", "max_tokens": 9, **hello()}


def hello() -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Hi"}]}


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], r"1 to 100,000 rows, not 0"),
        ([*ROWS, ROWS[0]], r"row 5: custom_id 'doc-0' is there twice"),
        ([{"user_message": "Hi"}], r"row 0: custom_id None"),
        ([{"custom_id": "a b", "user_message": "Hi"}], r"row 0: custom_id 'a b'"),
        ([{"custom_id": "x" * 65, "user_message": "Hi"}], r"1 to 64 letters"),
        ([{"custom_id": "a"}], r"row 0: give a text as 'user_message'"),
        ([{"custom_id": "a", "user_message": 3}], r"row 0: give a text"),
    ],
)
def test_a_row_that_cannot_go_is_named_and_nothing_is_sent(
    client: anthropic.Anthropic, emu: RunningEmulator, rows: list[Any], says: str
) -> None:
    with pytest.raises(RequestError, match=says):
        farthing.batch.submit(rows, client=client)

    assert emu.requests == []


def test_what_the_api_would_refuse_hours_later_is_refused_now(
    client: anthropic.Anthropic, emu: RunningEmulator
) -> None:
    empty: farthing.batch.Row = {"custom_id": "b", "user_message": ""}

    with pytest.raises(InvalidRequest, match=r"row 1 \('b'\): .*non-empty") as refused:
        farthing.batch.submit([ROWS[0], empty], client=client)

    assert refused.value.violations
    assert emu.requests == []


def test_a_custom_id_may_have_64_characters(
    client: anthropic.Anthropic, emu: RunningEmulator
) -> None:
    assert farthing.batch.submit([{"custom_id": "x" * 64, "user_message": "Hi"}], client=client)
