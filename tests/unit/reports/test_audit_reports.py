"""The audit on a terminal and on a page."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from farthing.reports.audit_html import render_page
from farthing.reports.audit_text import render_audit
from farthing.traces.audit import PolicyOutcome, build_document
from farthing.traces.importing import Import
from tests.unit.traces.audit.examples import audit_of, document_of, session_of
from tests.unit.traces.recorded import call, conversation, tool_result, tool_use, usage

VOID = {"meta", "rect", "line"}


class Balanced(HTMLParser):
    """Fails on a tag that closes what is not open."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        assert self.open.pop() == tag


def document():
    busy = session_of([0, 10, 20, 900, 90_000, 180_000])
    unpriced = conversation([call(1, usage(uncached=9_000))], id="g#0", model="gemini-3")
    return document_of(busy, unpriced)


def test_the_terminal_report_says_what_was_spent_why_and_what_to_do():
    printed = render_audit(document())

    for heading in (
        "Where the dollars go",
        "By day",
        "Top 3 projects, models, sessions",
        "What the prompts were made of",
        "Dearest over their life in context",
        "Cache misses by cause",
        "Habits",
        "To do, dearest first",
    ):
        assert heading in printed


def test_no_line_of_the_report_is_wider_than_a_hundred_columns():
    assert [line for line in render_audit(document()).splitlines() if len(line) > 100] == []


def test_one_dimension_in_full_replaces_the_overview():
    printed = render_audit(document(), by="day")

    assert "By day" in printed
    assert "2026-10-10" in printed
    assert "2026-10-12" in printed
    assert "Habits" not in printed


def test_an_unpriced_model_is_never_shown_at_zero_dollars():
    printed = render_audit(document(), by="model")

    line = next(line for line in printed.splitlines() if line.startswith("gemini-3"))
    assert "–" in line.split()


def test_an_audit_without_any_price_shows_tokens():
    only = document_of(conversation([call(1, usage(uncached=9_000))], model="gemini-3"))

    assert "no price" in render_audit(only)
    assert "$0.00 spent" not in render_audit(only)
    assert "9.00k" in render_page(only)


def test_an_empty_audit_says_so():
    assert "No calls found." in render_audit(document_of())
    assert "No calls found." in render_page(document_of())


def test_names_cannot_steer_the_terminal():
    evil = conversation([call(1, usage(uncached=5))], project="\x1b[31mred\x07")

    assert "\x1b" not in render_audit(document_of(evil), by="project")


def test_the_page_is_well_formed():
    page = Balanced()
    page.feed(render_page(document()))

    assert page.open == []


def test_the_page_needs_nothing_from_outside():
    page = render_page(document())

    assert re.findall(r"(?:src|href)\s*=|url\(|@import|<script|<link|https?://", page) == []
    assert "default-src 'none'" in page


def test_the_page_has_charts_and_both_colour_schemes():
    page = render_page(document())

    assert page.count("<svg") >= 4
    assert "prefers-color-scheme:dark" in page


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><img src=x>', "a&b"])
def test_names_cannot_become_markup(name):
    evil = conversation([call(1, usage(uncached=5))], project=name, session_id=name)

    page = render_page(document_of(evil))

    assert name not in page
    Balanced().feed(page)


def test_what_a_replay_predicts_is_shown_as_predicted():
    outcome = PolicyOutcome(policy="no-cache", estimated_pico=9e12, recorded_pico=2e12)
    found = build_document(audit_of(session_of([0, 10])), Import(), [outcome])

    line = next(line for line in render_audit(found).splitlines() if "no-cache" in line)
    assert line.split()[-2:] == ["$9.00", "-$7.00"]
    assert "(predicted)" in render_audit(found)
    assert "no-cache" in render_page(found)


def test_many_origins_end_in_one_line_of_the_rest():
    uses = [tool_use(f"t{n}", f"Tool{n}") for n in range(12)]
    results = [tool_result(f"t{n}", "x" * 100 * (n + 1)) for n in range(12)]
    calls = [call(1, usage(write=100)), call(3, usage(read=100, write=9_000), at=5.0)]
    one = conversation(calls, [("user", "x"), ("assistant", uses), ("user", results)])

    assert "other origins" in render_audit(document_of(one))


def test_problems_are_listed_with_a_place():
    imported = Import()
    imported.problems.note("malformed", "/home/dev/" + "x" * 200)
    found = build_document(audit_of(session_of([0, 10])), imported)

    assert "1 × line is not JSON" in render_audit(found)
    assert max(map(len, render_audit(found).splitlines())) <= 100
    assert "line is not JSON" in render_page(found)
