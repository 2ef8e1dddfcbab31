"""What a client sees on the wire: headers, versions, keys, streams, models, counting."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest

from farthing.lab.emulator import Emulator, HttpRequest, LatencyProfile, Reply, Settings
from farthing.lab.emulator.call import Account
from farthing.lab.emulator.sizes import image_size
from tests.unit.lab.emulator.talking import NEW, OLD, Client, long_text, user

TOOLS = [{"name": "read", "input_schema": {"type": "object", "required": ["p"]}}]


def events(reply: Reply) -> list[tuple[str, dict[str, Any]]]:
    parsed = []
    for chunk in reply.body().decode().strip().split("\n\n"):
        name, data = chunk.split("\n", 1)
        parsed.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return parsed


def streamed(client: Client, headers: dict[str, str] | None = None, **fields: Any) -> Reply:
    body = client.body(stream=True, **fields)
    return client.send("POST", "/v1/messages?beta=true", body, headers=headers)


def test_events_come_in_the_documented_order() -> None:
    reply = streamed(Client(), {"x-emulator-answer": "tools=1 thinking=30"}, model=NEW, tools=TOOLS)
    parsed = events(reply)
    names = [name for name, _ in parsed]
    assert names[:2] == ["message_start", "ping"]
    assert names[-2:] == ["message_delta", "message_stop"]
    starts = [data for name, data in parsed if name == "content_block_start"]
    blocks = [data["content_block"]["type"] for data in starts]
    assert blocks == ["thinking", "text", "tool_use"]
    assert names.count("content_block_start") == names.count("content_block_stop") == 3


def test_a_stream_carries_the_same_message_as_a_plain_answer() -> None:
    told = {"x-emulator-answer": "output=200"}
    plain = Client().ask(told)
    texts = [
        data["delta"]["text"]
        for name, data in events(streamed(Client(), told))
        if name == "content_block_delta"
    ]
    assert "".join(texts) == plain["content"][0]["text"]
    assert len(texts) > 5


def test_usage_starts_in_message_start_and_is_cumulative_in_message_delta() -> None:
    client = Client()
    client.ask(system=[long_text()])
    parsed = dict(events(streamed(client, system=[long_text()])))
    start = parsed["message_start"]["message"]
    assert start["content"] == []
    assert start["stop_reason"] is None
    assert start["usage"]["cache_read_input_tokens"] > 6000
    assert start["usage"]["output_tokens"] == 1
    assert parsed["message_delta"]["usage"]["output_tokens"] > 1
    assert parsed["message_delta"]["delta"]["stop_reason"] == "end_turn"


def test_omitted_thinking_streams_a_signature_only() -> None:
    deltas = [
        data["delta"]["type"]
        for name, data in events(streamed(Client(), model=NEW))
        if name == "content_block_delta" and data["index"] == 0
    ]
    assert deltas == ["signature_delta"]


def test_tool_input_streams_as_fragments_of_json() -> None:
    client = Client()
    use = {"type": "tool_use", "name": "read", "input": {"p": "x" * 200}}
    client.emulator.load_script([{"content": [use]}])
    parts = [
        data["delta"]["partial_json"]
        for name, data in events(streamed(client, tools=TOOLS))
        if name == "content_block_delta"
    ]
    assert parts[0] == ""
    assert json.loads("".join(parts)) == {"p": "x" * 200}


def test_a_stream_can_be_cut() -> None:
    pieces = list(streamed(Client(), {"x-emulator-fault": "cut=3"}).pieces)
    assert [piece.breaks for piece in pieces] == [False, False, False, True]


def test_a_stream_can_end_in_an_error_event() -> None:
    reply = streamed(Client(), {"x-emulator-fault": "error-event=overloaded_error after=2"})
    assert [name for name, _ in events(reply)] == ["message_start", "ping", "error"]


def test_pieces_leave_in_proportion_to_the_output() -> None:
    client = Client(latency=LatencyProfile(base_seconds=1, seconds_per_output_token=0.01))
    pieces = list(streamed(client, {"x-emulator-answer": "output=300"}).pieces)
    assert pieces[0].at == 1
    assert pieces[-1].at == pytest.approx(4)
    assert [piece.at for piece in pieces] == sorted(piece.at for piece in pieces)


def test_a_slow_stream_takes_its_time_between_events() -> None:
    pieces = list(streamed(Client(), {"x-emulator-fault": "slow=0.5"}).pieces)
    assert pieces[1].at - pieces[0].at == 0.5


def test_a_plain_answer_can_be_cut_in_the_middle() -> None:
    client = Client()
    headers = {"x-emulator-fault": "cut=1"}
    reply = client.send("POST", "/v1/messages", client.body(), headers=headers)
    first, second = reply.pieces
    assert len(first.data) < int(reply.headers["content-length"])
    assert second.breaks


def test_both_ways_to_send_a_key_are_accepted() -> None:
    client = Client()
    client.headers = {"authorization": "Bearer sk-emu-acme", "anthropic-version": "2026-10-21"}
    client.ask()


@pytest.mark.parametrize(
    "headers",
    [{}, {"x-api-key": "sk-invalid"}, {"authorization": "Basic abc"}],
    ids=["none", "invalid", "basic"],
)
def test_a_missing_or_wrong_key_is_a_401(headers: dict[str, str]) -> None:
    client = Client()
    client.headers = {"anthropic-version": "2023-06-01", **headers}
    assert client.refused()["type"] == "authentication_error"


def test_with_a_table_of_keys_only_those_are_accepted() -> None:
    account = Account(organization="o", workspace="w", key_id="k")
    client = Client(Emulator(Settings(keys={"secret": account})))
    assert client.refused()["status"] == 401
    client.as_key("secret").ask()


@pytest.mark.parametrize(("version", "words"), [(None, "required"), ("2024-01-01", "not a valid")])
def test_the_version_header_is_checked(version: str | None, words: str) -> None:
    client = Client()
    client.headers.pop("anthropic-version")
    headers = {"anthropic-version": version} if version else {}
    assert words in client.refused(headers)["message"]


def test_every_answer_names_its_request_and_organization() -> None:
    client = Client()
    good = client.send("POST", "/v1/messages", client.body())
    bad = client.send("POST", "/v1/messages", b"{")
    assert good.headers["request-id"].startswith("req_")
    assert good.headers["anthropic-organization-id"].count("-") == 4
    assert json.loads(bad.body())["request_id"] == bad.headers["request-id"]
    assert bad.headers["x-should-retry"] == "false"


def test_a_workspace_is_named_unless_it_is_the_default_one() -> None:
    client = Client().as_key("sk-emu-acme.team")
    reply = client.send("POST", "/v1/messages", client.body())
    assert reply.headers["anthropic-workspace-id"].startswith("wrkspc_")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", "/api/hello", 200),
        ("HEAD", "/", 200),
        ("GET", "/v1/messages", 405),
        ("GET", "/v1/complete", 404),
        ("GET", "/v1/models/claude-nope", 404),
        ("GET", "/v1/messages/batches/msgbatch_x", 404),
    ],
)
def test_other_paths(method: str, path: str, status: int) -> None:
    assert Client().send(method, path).status == status


def test_probes_need_no_key() -> None:
    request = HttpRequest(method="HEAD", path="/api/hello")
    assert Emulator().handle(request).status == 200


@pytest.mark.parametrize(("extra", "status"), [(0, 400), (1, 413)])
def test_a_body_may_have_32_megabytes(extra: int, status: int) -> None:
    body = b" " * (32 * 1024 * 1024 + extra)
    assert Client().send("POST", "/v1/messages", body).status == status


def test_models_are_listed_newest_first_without_prices() -> None:
    client = Client()
    listed = client.get("/v1/models?limit=1000")["data"]
    assert listed[0]["id"] in ("claude-fable-5-2", "claude-mythos-5-2")
    assert {"max_input_tokens", "max_tokens", "lifecycle", "capabilities", "line"} <= set(listed[0])
    assert not any("price" in key for key in listed[0])
    assert client.get("/v1/models?limit=2")["has_more"] is True


@pytest.mark.parametrize("limit", ["0", "1001", "x"])
def test_a_page_has_1_to_1000_rows(limit: str) -> None:
    assert Client().send("GET", f"/v1/models?limit={limit}").status == 400


def test_an_alias_shows_the_dated_model() -> None:
    model = Client().get("/v1/models/claude-opus-4-5")
    assert model["id"] == "claude-opus-4-5-20251101"
    assert model["display_name"] == "Claude Opus 4.5"


def test_lifecycles_follow_the_clock() -> None:
    client = Client()
    assert client.get("/v1/models/claude-sonnet-4-5")["lifecycle"] == "deprecated"
    assert client.get("/v1/models/claude-opus-5")["lifecycle"] == "active"
    client.wait(20 * 86_400)
    assert client.get("/v1/models/claude-sonnet-4-5")["lifecycle"] == "retired"


def counted(client: Client, headers: dict[str, str] | None = None, **fields: Any) -> Any:
    body = client.body(max_tokens=..., **fields)
    reply = client.send("POST", "/v1/messages/count_tokens", body, headers=headers)
    assert reply.status == 200, reply.body()
    return json.loads(reply.body())


def test_counting_is_blind_to_the_prompt_cache_and_free() -> None:
    client = Client()
    total = sum(client.cached(system=[long_text()]))
    assert counted(client, system=[long_text()]) == {"input_tokens": total}
    assert len(client.emulator.books.lines) == 1


def test_counting_refuses_what_a_message_would() -> None:
    client = Client()
    wrong: list[dict[str, Any]] = [{"tool_choice": {"type": "any"}}, {"messages": []}]
    for fields in wrong:
        body = client.body(max_tokens=..., model=NEW, **fields)
        assert client.send("POST", "/v1/messages/count_tokens", body).status == 400


def test_counting_tells_what_context_editing_would_clear() -> None:
    headers = {"anthropic-beta": "context-management-2025-06-27"}
    edits = {"edits": [{"type": "clear_tool_uses_20250919"}]}
    answer = counted(Client(), headers, context_management=edits)
    assert answer["context_management"]["original_input_tokens"] == answer["input_tokens"]


@pytest.mark.parametrize(
    ("model", "choice", "hidden"),
    [(OLD, "auto", 496), (OLD, "any", 588), (NEW, "auto", 286), ("claude-opus-4-7", "any", 804)],
)
def test_tools_add_the_documented_hidden_tokens(model: str, choice: str, hidden: int) -> None:
    client = Client()
    tiny = [{"name": "t", "input_schema": {}}]
    without = counted(client, model=model)["input_tokens"]
    tools = counted(client, model=model, tools=tiny, tool_choice={"type": choice})["input_tokens"]
    assert hidden < tools - without < hidden + 40


def png(width: int, height: int) -> dict[str, str]:
    data = b"\x89PNG\r\n\x1a\n" + b"\0" * 8 + struct.pack(">II", width, height)
    return {"type": "base64", "media_type": "image/png", "data": base64.b64encode(data).decode()}


@pytest.mark.parametrize(
    ("width", "height", "standard", "high"),
    [(1000, 1000, 1296, 1296), (1920, 1080, 1560, 2691), (3840, 2160, 1560, 4784)],
)
def test_images_weigh_what_the_documentation_says(
    width: int, height: int, standard: int, high: int
) -> None:
    assert image_size(png(width, height)) == (standard, high)


@pytest.mark.parametrize("source", [None, {"type": "url", "url": "x"}, {"data": "###"}], ids=str)
def test_an_image_that_cannot_be_measured_has_a_fixed_size(source: Any) -> None:
    assert image_size(source) == (1300, 1300)


def test_gif_and_jpeg_are_measured_too() -> None:
    gif = base64.b64encode(b"GIF89a" + struct.pack("<HH", 560, 280)).decode()
    header = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x11\x08" + struct.pack(">HH", 280, 560)
    jpeg = base64.b64encode(header + b"\0" * 10).decode()
    assert image_size({"data": gif}) == image_size({"data": jpeg}) == (200, 200)


def test_documents_count_pages_or_text() -> None:
    client = Client()
    pages = base64.b64encode(b"%PDF /Type /Pages /Type /Page /Type /Page").decode()
    pdf = {"type": "document", "source": {"type": "base64", "data": pages}}
    text = {"type": "document", "source": {"type": "text", "data": "with " * 100}}

    def size(block: Any) -> int:
        return int(counted(client, messages=[{"role": "user", "content": [block]}])["input_tokens"])

    assert 6_000 < size(pdf) < 7_000
    assert 90 < size(text) < 120


def test_an_earlier_turn_in_a_tool_result_counts() -> None:
    client = Client()
    use = {"type": "tool_use", "id": "a", "name": "read", "input": {}}
    parts = [{"type": "text", "text": "with " * 200}, {"type": "image", "source": png(560, 280)}]
    result = {"type": "tool_result", "tool_use_id": "a", "content": parts}
    messages = [
        user(),
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    assert 400 < counted(client, messages=messages)["input_tokens"] < 500


def test_the_same_seed_requests_and_instants_give_the_same_bytes() -> None:
    def conversation() -> list[bytes]:
        client = Client(seed=7)
        bodies = [client.body(model=NEW, messages=[user(f"q{n}")]) for n in range(5)]
        return [client.send("POST", "/v1/messages", body).body() for body in bodies]

    assert conversation() == conversation()


def test_a_request_may_name_its_instant_and_a_virtual_clock_follows_it() -> None:
    client = Client()
    begun = client.emulator.clock.now()
    client.ask({"x-emulator-at": str(begun + 100)}, system=[long_text()])
    assert client.emulator.clock.now() == begun + 100
    client.ask({"x-emulator-at": "soon"})
    earlier = client.ask({"x-emulator-at": str(begun)}, system=[long_text()])["usage"]
    assert earlier["cache_read_input_tokens"] == 0  # not written yet
    assert client.emulator.clock.now() == begun + 100
