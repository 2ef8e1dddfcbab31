"""Every code that the source can leave on an exchange is explained in words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import farthing
from farthing.core.fanout import WaitReason
from farthing.core.levers import LEVERS
from farthing.core.records import AttributionSource, ExchangeState
from farthing.errors import UpstreamError
from farthing.reports.explain_words import (
    NOTES,
    REASONS,
    SOURCES,
    STATES,
    note_words,
    plan_words,
)

SOURCE = Path(farthing.__file__).parent
#: methods that leave their first argument as a note on an exchange, and where they are called
NOTING = {"note", "_noted", "_settle_cut", "_unheld", "_refuse", "_refusal", "Note"}
#: packages whose `.note` is about something else: problems of files, and events of the journal
OTHERS = {"traces", "lab", "compose"}
#: a note handed on under this name
HANDED = "note"
#: these say that a lever acts, or would
ACTING = {"accepted", "waited", "would_wait"}
#: a whole reason code, written out
LITERAL = re.compile(r"[+-][a-z_.]+:([a-z_]+)")


@pytest.fixture(scope="module")
def modules() -> list[ast.Module]:
    return [
        ast.parse(path.read_text("utf-8"))
        for path in SOURCE.rglob("*.py")
        if not OTHERS & set(path.relative_to(SOURCE).parts)
    ]


def texts(node: ast.expr) -> Iterator[str]:
    """The literals an expression can be: alone, or in either branch of a conditional."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=body, orelse=orelse):
            yield from texts(body)
            yield from texts(orelse)
        case ast.Tuple(elts=elements):
            for element in elements:
                yield from texts(element)
        case _:
            pass


def noted(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(t, ast.Name) and t.id.endswith("_NOTE") for t in targets):
                yield from (text for text in texts(node.value) if "." in text and " " not in text)
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        name = name or (node.func.id if isinstance(node.func, ast.Name) else "")
        if name in NOTING and node.args:
            yield from texts(node.args[0])
        if name == "append" and ast.unparse(node.func).endswith("notes.append"):
            yield from (text for text in texts(node.args[0]) if "." in text)
        if name == "guarded":
            yield from (
                f"fail_open.{text}"
                for k in node.keywords
                if k.arg == "code"
                for text in texts(k.value)
            )
        for keyword in node.keywords:
            if keyword.arg in {HANDED, "notes"}:
                yield from (t for t in texts(keyword.value) if "." in t and " " not in t)


def reasons(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "_DeclinedError":
            yield from texts(node.args[0])
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Considered":
            yield from (t for k in node.keywords if k.arg == "reason" for t in texts(k.value))
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "reason":
            yield from (text for text in texts(node.value) if text not in ACTING)
        if isinstance(node, ast.FunctionDef) and node.name == "_why_not":
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return) and inner.value is not None:
                    yield from texts(inner.value)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = LITERAL.fullmatch(node.value)
            if found:
                yield found[1]


@pytest.fixture(scope="module")
def all_noted(modules: list[ast.Module]) -> set[str]:
    return {code for module in modules for code in noted(module)}


@pytest.fixture(scope="module")
def all_reasons(modules: list[ast.Module]) -> set[str]:
    found = {code for module in modules for code in reasons(module)}
    return found | set(get_args(WaitReason)) - ACTING


def test_the_search_finds_codes_of_every_kind(all_noted, all_reasons):
    assert {"answer.cut", "budget.refused", "unpriced.model", "fail_open.price"} <= all_noted
    assert {"credential.subscription", "ledger.recovered", "interrupted"} <= all_noted
    assert {"bypass", "client_mark", "too_short", "nothing_to_do"} <= all_reasons


def test_every_note_that_the_source_can_leave_has_words(all_noted):
    unknown = {code for code in all_noted if note_words(code) == code}

    assert unknown == set(), "say in reports/explain_words.py what they mean"


def test_every_reason_that_the_source_can_give_has_words(all_reasons):
    assert all_reasons - set(REASONS) == set(), "say in reports/explain_words.py what they mean"


def test_no_words_are_kept_for_codes_that_nothing_leaves(all_noted, all_reasons):
    assert sorted(set(NOTES) - all_noted) == []
    assert sorted(set(REASONS) - all_reasons) == []


def test_states_and_sources_are_all_explained():
    assert set(STATES) == set(get_args(ExchangeState))
    assert set(SOURCES) == set(get_args(AttributionSource))


def leaves(kind: type[UpstreamError]) -> list[type[UpstreamError]]:
    return [kind, *(leaf for below in kind.__subclasses__() for leaf in leaves(below))]


@pytest.mark.parametrize("kind", leaves(UpstreamError))
def test_an_error_on_the_way_to_the_provider_is_explained_by_itself(kind):
    assert note_words(kind.code) != kind.code


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("fail_open.plan", "our own planning failed; the client's request went on unchanged"),
        ("fail_open.magic", "our own magic failed; the client's request went on unchanged"),
        ("fallback_credit.redeemed", "a fallback credit was redeemed: the invoice may say less"),
        ("of.a.later.version", "of.a.later.version"),
    ],
)
def test_notes_with_a_part_that_varies(code, words):
    assert note_words(code) == words


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "+cache.auto",
            "asks for the provider's automatic breakpoint where the client marks nothing",
        ),
        (
            "-cache.auto:too_short",
            f"not: {LEVERS['cache.auto'].does}; {REASONS['too_short']}",
        ),
        ("-all:bypass", "no lever acts: the client asked for it: x-farthing-bypass"),
        ("+later.lever:some_reason", "later.lever (some_reason)"),
        ("-later.lever", "not: later.lever"),
        ("~later.lever", "observed only, would act: later.lever"),
    ],
)
def test_a_lever_says_what_it_did_or_why_not(code, words):
    assert plan_words(code) == words
