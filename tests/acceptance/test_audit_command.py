"""``farthing audit``, ``import`` and ``trace`` as a person runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.traces.recorded import Transcript, session, text, usage


def farthing(*arguments: str | Path, home: Path | None = None, **environment: str):
    names = {"PATH": os.environ["PATH"], "HOME": str(home or "/nonexistent"), **environment}
    command = [sys.executable, "-m", "farthing", *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=names,
        encoding="utf-8",
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three sessions and a sub-agent, as the client lays them out."""
    projects = tmp_path / ".claude" / "projects"
    for number in range(3):
        session(f"s{number}", turns=5, gap=400.0).write(projects / "-home-dev-shop")
    agent = Transcript(session="s0")
    agent.user("search", 5, isSidechain=True, agentId="a1")
    agent.answer("msg_agent", [text("found")], usage(write=9_000, output=2), 6)
    agent.write(projects / "-home-dev-shop" / "s0" / "subagents", "agent-a1.jsonl")
    return tmp_path


def test_without_a_path_it_reads_the_clients_own_folder(folder):
    done = farthing("audit", home=folder)

    assert (done.returncode, done.stderr) == (0, "")
    assert "3 sessions · 1 projects · 16 calls" in done.stdout
    assert "To do, dearest first" in done.stdout


def test_the_clients_folder_may_be_elsewhere(folder, tmp_path):
    done = farthing("audit", home=tmp_path / "nobody", CLAUDE_CONFIG_DIR=str(folder / ".claude"))

    assert "16 calls" in done.stdout


def test_without_any_transcripts_it_says_where_it_looked(tmp_path):
    done = farthing("audit", home=tmp_path)

    assert done.returncode == 2
    assert "~/.claude/projects" in done.stderr


def test_json_is_one_document_and_nothing_else(folder):
    done = farthing("audit", folder, "--json")

    document = json.loads(done.stdout)
    assert (document["document"], document["version"]) == ("farthing-audit", 1)
    assert isinstance(document["totals"]["cost_usd"], str)


def test_html_is_written_beside_the_report(folder, tmp_path):
    page = tmp_path / "report.html"

    done = farthing("audit", folder, "--html", page)

    assert done.returncode == 0
    assert "Page written to" in done.stdout
    assert page.read_text("utf-8").startswith("<!doctype html>")


def test_a_page_that_cannot_be_written_is_one_line_of_error(folder):
    done = farthing("audit", folder, "--html", folder / "no" / "such" / "report.html")

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "cannot write the page" in done.stderr


@pytest.mark.parametrize("name", ["day", "project", "model", "session"])
def test_each_dimension_can_be_listed_in_full(folder, name):
    assert f"By {name}" in farthing("audit", folder, "--by", name).stdout


def test_since_takes_a_day_or_a_number_of_days(folder):
    all_calls = json.loads(farthing("audit", folder, "--since", "2026-10-10", "--json").stdout)
    none = farthing("audit", folder, "--since", "2099-01-01", "--json")

    assert all_calls["totals"]["calls"] == 16
    assert (json.loads(none.stdout)["totals"]["calls"], none.returncode) == (0, 1)
    assert farthing("audit", folder, "--since", "99999d").returncode == 0
    wrong = farthing("audit", folder, "--since", "yesterday")
    assert (wrong.returncode, "not a day" in wrong.stderr) == (2, True)


def test_whatever_lies_in_the_folder_it_reports_and_goes_on(folder):
    shop = folder / ".claude" / "projects" / "-home-dev-shop"
    (shop / "junk.jsonl").write_bytes(bytes(range(256)) * 50)
    (shop / "cut.jsonl.gz").write_bytes(b"\x1f\x8b\x08\x00truncated")
    (shop / "dangling.jsonl").symlink_to(shop / "nowhere")
    (shop / "foreign.json").write_text('{"name": "package"}')
    (shop / "s1.jsonl").write_bytes((shop / "s1.jsonl").read_bytes() + b'{"type":"assistant","mess')

    done = farthing("audit", folder, "/no/such/path", home=folder)

    assert (done.returncode, done.stderr) == (0, "")
    assert "16 calls" in done.stdout
    for words in ("file in no format we know", "cannot be opened", "not JSON", "does not exist"):
        assert words in done.stdout


def test_a_path_that_does_not_exist_is_an_empty_report_and_an_exit_code():
    done = farthing("audit", "/no/such/path")

    assert (done.returncode, done.stderr) == (1, "")
    assert "path does not exist" in done.stdout


def test_an_empty_folder_is_an_empty_report(tmp_path):
    done = farthing("audit", tmp_path)

    assert (done.returncode, "No calls found" in done.stdout) == (1, True)


def test_import_redact_show_and_audit_agree(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    trace, shared = elsewhere / "t.jsonl.gz", elsewhere / "shared.jsonl.gz"

    first = farthing("import", folder / ".claude", "-o", trace, "--json")
    second = farthing("import", trace, "-o", shared, "--redact", "filler")
    audits = [
        json.loads(farthing("audit", p, "--json").stdout)
        for p in (folder / ".claude", trace, shared)
    ]

    assert json.loads(first.stdout)["calls"] == 16
    assert second.returncode == 0
    assert len({json.dumps(found["totals"]) for found in audits}) == 1
    listed = json.loads(farthing("trace", "show", shared, "--json").stdout)
    assert len(listed) == 4
    detail = json.loads(farthing("trace", "show", shared, listed[0]["id"], "--json").stdout)
    assert len(detail["call_list"]) == 5
    assert "cost" in farthing("trace", "show", shared, listed[0]["id"]).stdout


def test_an_import_does_not_overwrite_its_source(folder, tmp_path):
    trace = tmp_path / "t.jsonl"
    farthing("import", folder, "-o", trace)

    done = farthing("import", trace, "-o", trace)

    assert (done.returncode, "one of the sources" in done.stderr) == (1, True)
    assert trace.stat().st_size > 1_000


def test_an_import_into_its_own_source_folder_does_not_read_what_it_writes(folder):
    trace = folder / "t.jsonl"

    counts = [json.loads(farthing("import", folder, "-o", trace, "--json").stdout) for _ in "ab"]

    assert [found["calls"] for found in counts] == [16, 16]
    assert not list(folder.glob("*.part"))


def test_showing_what_is_not_there_is_one_line_of_error(folder, tmp_path):
    for arguments in (["/no/such/trace"], [str(folder), "no-such-id"], [str(tmp_path / "x")]):
        done = farthing("trace", "show", *arguments)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1


def test_texts_are_never_printed(folder):
    done = farthing("trace", "show", folder)

    assert "please look at the shop" not in done.stdout
    assert "please look at the shop" not in farthing("audit", folder, "--json").stdout


def test_memory_does_not_grow_with_the_folder(tmp_path):
    bench = Path(__file__).resolve().parents[2] / "benchmarks" / "audit.py"
    options = ["--json", "--rounds", "1", "--megabytes", "60", "--data", str(tmp_path)]
    command = [sys.executable, str(bench), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)

    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["peak_rss_mb"] - figures["peak_rss_mb_at_20_mb"] < 15


def test_other_policies_are_replayed_only_when_asked_for(folder):
    plain = json.loads(farthing("audit", folder, "--json").stdout)
    asked = json.loads(farthing("audit", folder, "--policies", "--json").stdout)

    assert plain["policies"] == []
    assert [each["policy"] for each in asked["policies"]] == ["no-cache", "auto-cache", "safe"]
    assert {each["status"] for each in asked["policies"]} == {"predicted"}
    assert float(asked["policies"][0]["estimated_usd"]) > 0
    assert plain["totals"] == asked["totals"]


def test_policies_are_replayed_for_the_conversations_since_a_day(folder):
    asked = farthing("audit", folder, "--policies", "--since", "2199-01-01", "--json")

    assert json.loads(asked.stdout)["policies"] == []


def test_a_trace_becomes_a_script_for_the_emulator(folder, tmp_path):
    script = tmp_path / "script.jsonl"
    done = farthing("trace", "script", folder, "-o", script)
    lines = [json.loads(line) for line in script.read_text("utf-8").splitlines()]

    assert done.returncode == 0
    assert f"{len(lines)} turns written" in done.stdout
    assert {"conversation", "turn", "content"} <= set(lines[0])
    assert farthing("trace", "script", folder).stdout == script.read_text("utf-8")
    assert farthing("trace", "script", folder, "no-such-id").returncode == 1
