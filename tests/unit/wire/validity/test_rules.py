"""Each rule of the table: what breaks it, and the neighbour that does not."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from farthing.errors import InvalidRequest, RequestError
from farthing.wire.models import ModelTraits
from farthing.wire.request import Request
from farthing.wire.validity import RULES, Violation, check, check_valid
from tests.unit.wire.validity.bodies import (
    OPEN,
    Case,
    Json,
    assistant,
    body,
    call,
    mark,
    model,
    parsed,
    result,
    server_call,
    system,
    text,
    tool,
    user,
    violations,
)
from tests.unit.wire.validity.conversation_cases import CASES as CONVERSATION
from tests.unit.wire.validity.parameter_cases import CASES as PARAMETERS
from tests.unit.wire.validity.prompt_cases import CASES as PROMPT

CASES = (*CONVERSATION, *PROMPT, *PARAMETERS)

#: a request that breaks these breaks others with them, or is too large for a table
SHOWN_ELSEWHERE = {"cache.on_empty_text", "messages.too_many", "request.too_large"}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_broken_rule_is_found(case: Case) -> None:
    found = violations(case.broken, case.traits, **case.options)

    assert case.code in {violation.code for violation in found}
    if case.address is not None:
        assert case.address in {each.address for each in found if each.code == case.code}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_valid_neighbour_breaks_no_rule(case: Case) -> None:
    found = violations(case.kept, case.kept_traits or case.traits, **case.options)

    assert [each for each in found if each.severity == "refused" or each.code == case.code] == []


def test_every_rule_has_a_case() -> None:
    assert {case.code for case in CASES} | SHOWN_ELSEWHERE == {rule.code for rule in RULES}


def test_codes_are_unique_and_every_rule_says_what_and_where_it_is_written() -> None:
    assert len({rule.code for rule in RULES}) == len(RULES)
    assert all(rule.text and rule.source for rule in RULES)


def test_a_mark_on_an_empty_text_is_one_error_more_than_the_text() -> None:
    found = violations(body(user("x", text("", **mark()))))

    assert [str(violation) for violation in found] == [
        "messages.0.content.1: cache_control cannot be set for empty text blocks",
        "messages.0.content.1: text content blocks must be non-empty",
    ]


def test_a_body_has_32_megabytes_and_no_more() -> None:
    limit = 32 * 1024 * 1024
    rest = len(json.dumps(body(user("")), separators=(",", ":")))

    def of_size(size: int) -> Request:
        whole = body(user("x" * (size - rest)))
        return Request.parse(json.dumps(whole, separators=(",", ":")).encode())

    assert check(of_size(limit), OPEN) == ()
    assert [each.code for each in check(of_size(limit + 1), OPEN)] == ["request.too_large"]


def test_a_conversation_has_100_000_messages_and_no_more() -> None:
    messages = [user("x")] * 100_000

    assert violations(body(*messages)) == ()
    assert [each.code for each in violations(body(*messages, user("x")))] == ["messages.too_many"]


FIVE_MARKS = body(user(*[text(**mark())] * 5))
HOUR_LAST = body(user(text(**mark()), text(**mark("1h"))))
UNANSWERED = body(user("go"), assistant(call("a"), call("b")), user("x"))
ORPHAN = body(user(result("a")))
LOST_SEARCH = body(user("go"), assistant(server_call("s")), user("x"), assistant("ok"))
PREFILLED = body(user("x"), assistant("It"))


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (FIVE_MARKS, ["A maximum of 4 blocks with cache_control may be provided. Found 5."]),
        (
            HOUR_LAST,
            [
                "messages.0.content.1.cache_control.ttl: a ttl='1h' cache_control block must not",
                "come after a ttl='5m' cache_control block. Note that blocks are processed in the",
                "following order: `tools`, `system`, `messages`.",
            ],
        ),
        (
            UNANSWERED,
            [
                "messages.1: `tool_use` ids were found without `tool_result` blocks immediately",
                "after: a, b. Each `tool_use` block must have a corresponding `tool_result` block",
                "in the next message.",
            ],
        ),
        (
            ORPHAN,
            [
                "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: a.",
                "Each `tool_result` block must have a corresponding `tool_use` block in the",
                "previous message.",
            ],
        ),
        (
            LOST_SEARCH,
            [
                "messages.1: `web_search` tool use with id `s` was found without a corresponding",
                "`web_search_tool_result` block",
            ],
        ),
        (
            PREFILLED,
            [
                "This model does not support assistant message prefill. The conversation must end",
                "with a user message.",
            ],
        ),
    ],
)
def test_messages_are_the_providers(request_: Json, words: list[str]) -> None:
    found = violations(request_, model(prefill=False))

    assert " ".join(words) in {str(violation) for violation in found}


def test_the_old_version_accepts_what_the_new_one_refuses() -> None:
    request = parsed(body(temperature=0.5))

    assert check(request, OPEN, api_version="2023-06-01") == ()
    assert check(request, OPEN, api_version="2026-10-21") != ()


def test_the_old_version_accepts_documents_from_the_assistant_and_citations_from_the_user() -> None:
    request = body(
        user(text(citations=[{"type": "char_location"}])),
        assistant({"type": "document", "source": {}}),
        user("x"),
    )

    assert violations(request) == ()


@pytest.mark.parametrize("one", ["1", "1.00", "1e0", "10E-1"])
def test_the_default_may_be_spelled_in_any_way(one: str) -> None:
    spelled = json.dumps(body()).replace("{", f'{{"temperature":{one},"top_p":{one},', 1)

    assert check(Request.parse(spelled.encode()), model(sampling=False)) == ()


def test_a_misplaced_system_message_is_named_once() -> None:
    found = violations(body(system("be brief"), user("hello")))

    assert [(each.code, each.address) for each in found] == [
        ("system_message.place", "messages.0.role")
    ]


def test_outside_a_batch_the_rules_of_batches_do_not_hold() -> None:
    assert violations(body(stream=True)) == ()


def test_a_batch_may_ask_for_more_output_than_the_model_otherwise_gives() -> None:
    request = parsed(body(max_tokens=300_000))

    assert check(request, OPEN, is_batch=True) == ()
    assert [each.code for each in check(request, OPEN)] == ["parameters.max_output"]


def test_an_unknown_model_is_checked_by_the_rules_of_all_models() -> None:
    request = parsed(body(user("x"), assistant("It "), top_k=5))

    assert [each.code for each in check(request, None)] == ["messages.prefill_space"]


def test_advice_is_given_only_when_asked_for() -> None:
    turns = (user("go"), assistant(call("a")), user(result("a"), "and?"))
    request = parsed(body(*turns, tools=[tool("read")]))

    assert check(request, OPEN) == ()
    assert check(request, OPEN, with_advice=True) == (
        Violation(
            code="tools.text_after_results",
            address="messages.2.content.1",
            message="text right after tool results invites empty answers",
            severity="advice",
        ),
    )


def test_a_valid_request_passes() -> None:
    check_valid(parsed(body()), OPEN)


def test_an_invalid_request_carries_its_violations() -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_valid(parsed(body(user(""), without=("model",))), OPEN)

    assert [each.code for each in caught.value.violations] == [
        "content.empty_text",
        "parameters.model",
    ]
    assert str(caught.value) == (
        "messages.0.content.0: text content blocks must be non-empty; model: Field required"
    )


@pytest.mark.parametrize(("count", "end"), [(5, "non-empty"), (6, "; and 1 more")])
def test_an_error_names_the_first_five_violations_and_carries_all(count: int, end: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_valid(parsed(body(user("x", *[""] * count))), OPEN)

    assert len(caught.value.violations) == count
    assert str(caught.value).endswith(end)


def test_a_mark_that_is_no_object_is_an_unreadable_request() -> None:
    with pytest.raises(RequestError):
        violations(body(user(text(cache_control="ephemeral"))))


def test_no_message_shows_a_prompt() -> None:
    secret = "tell nobody"
    request = body(user(text(secret, **mark("2h"))), assistant(secret + " "))

    assert not any(secret in str(each) for each in violations(request, model(prefill=False)))


def test_the_design_note_lists_every_rule(repo_root: Path) -> None:
    note = (repo_root / "docs" / "design" / "validity.md").read_text()

    assert [rule.code for rule in RULES if f"`{rule.code}`" not in note] == []


@pytest.mark.parametrize(
    "trace",
    [
        "claude-code-main",
        "claude-code-subagents",
        "swe-bench-mini",
        "tau-bench-airline",
        "tau2-bench",
    ],
)
def test_real_conversations_break_no_rule(data_dir: Path, trace: str) -> None:
    traits = ModelTraits(id="claude-opus-4-6", thinking_budget=True)
    with gzip.open(data_dir / "traces" / f"{trace}.jsonl.gz") as lines:
        broken = [found for line in lines if (found := _violations_of_row(line, traits))]

    assert broken == []


def _violations_of_row(line: bytes, traits: ModelTraits) -> tuple[Violation, ...]:
    row = json.loads(line)
    messages = row["messages"]
    while messages[-1]["role"] == "assistant":
        messages.pop()
    request = {
        "model": traits.id,
        "max_tokens": 4096,
        "system": row["system"],
        "tools": row["tools"],
        "messages": messages,
    }
    return check(parsed(request), traits)
