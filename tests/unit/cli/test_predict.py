from __future__ import annotations

import json
from typing import Any

import pytest

from farthing.cli.main import main

LONG = "word " * 3_000
MARK = {"cache_control": {"type": "ephemeral"}}


def body(*, turns: int = 1, **changes: Any) -> dict[str, Any]:
    """A conversation; only the last block carries the rolling mark."""
    messages: list[dict[str, Any]] = []
    for turn in range(turns):
        last = {"type": "text", "text": f"{turn} {LONG}"}
        messages.append({"role": "user", "content": [last | (MARK if turn == turns - 1 else {})]})
        if turn < turns - 1:
            messages.append({"role": "assistant", "content": "ok"})
    return {"model": "claude-opus-5-5", "max_tokens": 5, "messages": messages, **changes}


@pytest.fixture
def predict(tmp_path, capsys):
    def run(request, *options, after=None):
        names = []
        for name, given in (("request.json", request), ("after.json", after)):
            if given is not None:
                path = tmp_path / name
                path.write_text(json.dumps(given))
                names.append(str(path))
        extra = ["--after", names[1]] if after is not None else []
        code = main(["predict", names[0], *extra, *options])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def found(printed):
    code, out, _ = printed
    assert code == 0
    return json.loads(out)


def test_a_cold_request_writes(predict):
    answer = found(predict(body(), "--json"))

    assert answer["why"]["code"] == "cold"
    assert answer["usage"]["cache_write_5m"] == answer["prompt_tokens"]
    assert isinstance(answer["usd"]["total"], str)


def test_the_next_turn_reads(predict):
    answer = found(predict(body(turns=2), "--json", after=body()))

    assert answer["why"]["code"] == "complete"
    assert answer["usage"]["cache_read"] > 3_000


@pytest.mark.parametrize(("gap", "code"), [("299s", "complete"), ("5m", "expired")])
def test_the_gap_decides_over_life(predict, gap, code):
    answer = found(predict(body(turns=2), "--json", "--gap", gap, after=body()))

    assert answer["why"]["code"] == code


def test_the_reason_names_the_block_in_words(predict):
    code, out, _ = predict(body(turns=2), "--gap", "7m", after=body())

    assert code == 0
    assert "cached up to messages.0.content.0, but expired: touched 420 s before" in out
    assert "of such calls go another way" in out


def test_a_changed_system_prompt_is_named(predict):
    before = body(system="one " * 3_000)
    answer = found(predict(body(system="two " * 3_000), "--json", after=before))

    assert (answer["why"]["code"], answer["why"]["block"]) == ("prefix_changed", "system")


def test_another_model_holds_the_cache(predict):
    answer = found(
        predict(body(model="claude-sonnet-5-5"), "--json", after=body(model="claude-opus-5"))
    )

    assert answer["why"]["other_model"] == "claude-opus-5"


def test_a_request_without_marks_says_what_to_do(predict):
    plain = body()
    plain["messages"] = [{"role": "user", "content": "hi"}]
    _, out, _ = predict(plain)

    assert "no breakpoint" in out
    assert "marks no block with cache_control" in out


def test_a_short_prompt_names_the_minimum(predict):
    short = body()
    short["messages"][0]["content"][0]["text"] = "hi"
    _, out, _ = predict(short)

    assert "shorter than the model's minimum of 512 tokens" in out


def test_server_tools_are_mentioned(predict):
    tools = [{"type": "web_search_20250305", "name": "web_search"}]
    _, out, _ = predict(body(tools=tools))

    assert "A server tool may add 5 min writes of its own." in out


def test_speed_and_geography_are_priced(predict):
    plain = found(predict(body(), "--json"))
    served = found(predict(body(speed="fast", inference_geo="us"), "--json"))

    ratio = float(served["usd"]["total"]) / float(plain["usd"]["total"])
    assert ratio == pytest.approx(2.2)
    assert float(served["expected_usd"]) == pytest.approx(float(served["usd"]["total"]))


def test_a_model_given_by_hand_replaces_the_request_s_own(predict):
    answer = found(predict(body(), "--model", "claude-haiku-4-5", "--json"))

    assert answer["model"] == "claude-haiku-4-5-20251001"


@pytest.mark.parametrize(
    ("request_body", "options", "message"),
    [
        (body(), ["--gap", "7m"], "--gap is the time since --after FILE"),
        (body(model=None), [], "names no model; give one with --model"),
        (body(model="claude-opus-55"), [], "unknown model 'claude-opus-55'"),
        (
            body(thread={"type": "continue", "previous_message_id": "msg_1"}),
            [],
            "continues a message thread",
        ),
    ],
)
def test_what_cannot_be_predicted_says_who_must_act(predict, request_body, options, message):
    code, _, err = predict(request_body, *options)

    assert code == 2
    assert message in err


def test_the_last_day_there_is_can_be_priced_after_any_gap(predict):
    day = ["--on", "9999-12-31", "--gap", "366d", "--json"]

    assert found(predict(body(turns=2), *day, after=body()))["why"]["code"] == "expired"


@pytest.mark.parametrize("given", ["request", "after"])
def test_a_file_that_is_no_json_is_named(given, tmp_path, capsys):
    paths = {name: tmp_path / f"{name}.json" for name in ("request", "after")}
    for name, path in paths.items():
        path.write_text("no json" if name == given else json.dumps(body()))

    assert main(["predict", str(paths["request"]), "--after", str(paths["after"])]) == 2
    assert f"{str(paths[given])!r}: expected an object in JSON" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_the_callers_to_fix(capsys):
    assert main(["predict", "no-such-file.json"]) == 2
    assert "cannot read 'no-such-file.json'" in capsys.readouterr().err
