from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from farthing.cli.main import main

ON = ["--on", "2026-11-12"]
EXAMPLE = [
    "claude-opus-5-5",
    "--prompt",
    "50k",
    "--cached",
    "40k",
    "--write",
    "8k",
    "--output",
    "1k",
]


def run(capsys, *words: str) -> tuple[int, str, str]:
    code = main(["price", *words])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def answer(capsys, *words: str) -> dict[str, Any]:
    code, out, err = run(capsys, *words, *ON, "--json")
    assert (code, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    return found


def test_the_worked_example_as_a_table(capsys):
    code, out, err = run(capsys, *EXAMPLE, *ON)

    assert (code, err) == (0, "")
    assert "claude-opus-5-5@2026-09-22" in out
    assert [line.split()[-1] for line in out.splitlines() if "$0." in line] == [
        "$0.008000",
        "$0.040000",
        "$0.008000",
        "$0.020000",
        "$0.076000",
    ]
    assert max(map(len, out.splitlines())) <= 80


def test_the_worked_example_as_json_with_exact_money(capsys):
    found = answer(capsys, *EXAMPLE)

    assert found["cost"]["total"] == "0.076"
    assert found["usage"]["prompt"] == 50_000
    assert found["usage"]["uncached"] == 2_000
    assert found["rate_card"] == "claude-opus-5-5@2026-09-22"
    assert found["sources"][0].startswith("https://platform.claude.com/")


@pytest.mark.parametrize(
    ("words", "total"),
    [
        (["--batch"], "0.038"),
        (["--geo", "us"], "0.0836"),
        (["--geo", "global"], "0.076"),
        (["--fast"], "0.152"),
        (["--ttl", "1h"], "0.1"),
        (["--searches", "10"], "0.176"),
    ],
)
def test_how_it_was_served_changes_the_price(words, total, capsys):
    assert answer(capsys, *EXAMPLE, *words)["cost"]["total"] == total


@pytest.mark.parametrize(("ttl", "write"), [("5m", "cache_write_5m"), ("1h", "cache_write_1h")])
def test_a_ttl_alone_writes_all_that_is_not_read(ttl, write, capsys):
    words = ["claude-opus-5-5", "--prompt", "50k", "--cached", "40k", "--ttl", ttl]
    found = answer(capsys, *words)

    assert found["usage"][write] == 10_000
    assert found["usage"]["uncached"] == 0
    assert "all 10,000 tokens not read are written" in found["notes"][0]


@pytest.mark.parametrize(
    ("prompt", "total", "noted"), [(100_000, "0.01", 0), (100_001, "0.0500005", 1)]
)
def test_the_upper_band_is_pointed_out(prompt, total, noted, capsys):
    found = answer(capsys, "claude-haiku-5-5", "--prompt", str(prompt))

    assert found["cost"]["total"] == total
    assert len([note for note in found["notes"] if "upper band" in note]) == noted


@pytest.mark.parametrize(("written", "noted"), [(4_095, True), (4_096, False), (0, False)])
def test_a_cache_write_that_the_model_would_not_do_is_pointed_out(written, noted, capsys):
    words = ["claude-haiku-4-5", "--prompt", "10k", "--write", str(written)]

    assert any("too short to cache" in n for n in answer(capsys, *words)["notes"]) is noted


def test_notes_go_to_standard_error(capsys):
    code, out, err = run(capsys, "claude-haiku-4-5", "--prompt", "300k", "--output", "65k", *ON)

    assert code == 0
    assert "note: over the context window of 200,000 tokens" in err
    assert "note: more output than the model gives at once (64,000 tokens)" in err
    assert "note" not in out


def test_fast_on_opus_4_6_is_priced_as_it_is_served(capsys):
    found = answer(capsys, "claude-opus-4-6", "--output", "1M", "--fast")

    assert found["cost"]["total"] == "25"
    assert "served and billed as standard" in found["notes"][0]


def test_a_retired_model_is_priced_with_a_warning(capsys):
    code, out, err = run(capsys, "claude-opus-4-1", "--output", "1M", *ON)

    assert code == 0
    assert "$75.000000" in out
    assert err.startswith("warning: claude-opus-4-1-20250805 was retired on 2026-08-05")


def test_warnings_are_in_the_json_too(capsys):
    (warning,) = answer(capsys, "claude-sonnet-4-5", "--output", "1")["warnings"]

    assert "retires on 2026-11-30" in warning


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "which model?"),
        (["claude-opus-5-5", "--list"], "--list is about all models; leave out"),
        (["claude-opus-5-5", "--refresh"], "--refresh is about all models; leave out"),
        (["claude-opus-5-5", "--prefix", "5"], "--prefix belongs to --break-even"),
        (["--list", "--prompt", "4"], "--list goes alone; leave out --prompt"),
        (["--list", "--refresh"], "--list goes alone; leave out --refresh"),
        (["--list", "--break-even"], "--list goes alone; leave out --break-even"),
        (["--refresh", "--batch"], "--refresh goes alone; leave out --batch"),
        (
            ["claude-opus-5-5", "--break-even", "--output", "4k", "--fast"],
            "--break-even needs --prefix only; leave out --output, --fast",
        ),
        (
            ["claude-opus-5-5", "--break-even", "--prefix", "4k", "--prompt", "4k"],
            "--break-even needs --prefix only; leave out --prompt",
        ),
        (["claude-opus-5-5", "--batch"], "--batch says how tokens were served, but not how many"),
        (["claude-opus-5-5", "--geo", "us"], "add --prompt or --output"),
        (["claude-opus-5-5", "--cached", "5"], "give --prompt too"),
        (["claude-opus-5-5", "--ttl", "1h"], "give --prompt too"),
        (
            ["claude-opus-5-5", "--prompt", "10", "--cached", "11"],
            "--cached 11 and --write 0 are parts of the prompt, but --prompt is 10",
        ),
        (
            ["claude-opus-5-5", "--prompt", "10", "--cached", "6", "--write", "5"],
            "(at least 11; the API's `input_tokens` leaves the cached ones out)",
        ),
        (["claude-opus-5-5", "--output", "1", "--fast", "--batch"], "exclude each other"),
        (["claude-haiku-5-5", "--output", "1", "--fast"], "has no fast mode on that day"),
        (
            ["claude-opus-4-8", "--output", "1", "--fast", "--on", "2026-11-30"],
            "has no fast mode on that day",
        ),
        (["claude-haiku-4-5", "--output", "1", "--geo", "us"], "refuses inference_geo before 4.6"),
        (["claude-opus-5.5", "--output", "1"], "did you mean 'claude-opus-5-5'"),
        (["gpt-4", "--output", "1"], "unknown model 'gpt-4'\n`farthing price --list` shows all"),
        (["CLAUDE-OPUS-5-5"], "did you mean 'claude-opus-5-5'"),
        (["opus"], "did you mean 'claude-opus-5-5' or 'claude-opus-5' or 'claude-opus-4-8'?"),
        ([""], "unknown model ''\n"),
        (["claude-opus-5-5", "--on", "2026-09-21"], "its first price is of 2026-09-22"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_with_what_to_do(words, message, capsys):
    code, out, err = run(capsys, *words)

    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.parametrize("words", [["--prompt", "-5"], ["--prompt", "lots"], ["--ttl", "2h"]])
def test_a_value_that_cannot_be_read_exits_with_2(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["price", "claude-opus-5-5", *words])

    assert stop.value.code == 2
    assert words[0] in capsys.readouterr().err


def test_a_bill_of_today_is_of_today_in_utc(capsys, monkeypatch):
    for zone in ("Etc/GMT-14", "Etc/GMT+12"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        before = datetime.now(UTC).date().isoformat()
        _, out, _ = run(capsys, "claude-opus-5-5", "--output", "1", "--json")
        after = datetime.now(UTC).date().isoformat()

        assert json.loads(out)["on"] in {before, after}
    monkeypatch.undo()
    time.tzset()


# --- break-even ---------------------------------------------------------------------------------


def test_too_short_to_cache_is_said_first(capsys):
    code, out, _ = run(capsys, "claude-haiku-4-5", "--break-even", "--prefix", "4000", *ON)

    assert code == 0
    assert out.split("\n\n")[1].startswith("Too short to cache on this model: 4,000 tokens")


def test_break_even_without_a_prefix_names_the_shortest(capsys):
    _, out, _ = run(capsys, "claude-haiku-4-5", "--break-even", *ON)

    assert "Prefixes under 4,096 tokens are never cached" in out
    assert "Pings per hour that still pay: 11 (not a whole hour; that takes 13)" in out
    assert "the 1 h write is cheaper" in out


def test_break_even_in_dollars_for_a_prefix(capsys):
    _, out, _ = run(capsys, "claude-opus-5-5", "--break-even", "--prompt", "10k", *ON)

    assert "$0.050000  $0.080000" in out
    assert "the pings are cheaper" in out
    assert max(map(len, out.splitlines())) <= 90


def test_break_even_as_json(capsys):
    found = answer(capsys, "claude-haiku-4-5", "--break-even", "--prefix", "4096")

    assert found["too_short"] is False
    assert (found["ttl"]["5m"]["uses"], found["ttl"]["1h"]["uses"]) == (2, 3)
    assert found["pings"] == 11


def test_break_even_where_reading_is_not_cheaper(capsys, tmp_path):
    path = tmp_path / "p.toml"
    path.write_text(
        '[[card]]\nmodel = "m"\nvalid_from = 2026-01-01\nbands = [{ uncached = 1, '
        "cache_write_5m = 1, cache_write_1h = 1, cache_read = 1, output = 1 }]\n"
    )

    code, _, err = run(capsys, "m", "--break-even", "--prices", str(path), *ON)

    assert code == 2
    assert "a cache read is not cheaper" in err


# --- cards --------------------------------------------------------------------------------------


def test_the_list_names_every_card_with_its_day_and_the_sources(capsys):
    code, out, _ = run(capsys, "--list", *ON)

    assert code == 0
    for text in ("claude-haiku-5-5 <=100k", ">100k", "2026-10-07", "claude-sonnet-4-5-20250929*"):
        assert text in out
    assert "claude-opus-4-1-20250805†" in out
    assert "https://platform.claude.com/docs/en/about-claude/pricing (2026-10-10)" in out


def test_the_list_as_json_has_exact_prices_dates_and_sources(capsys):
    code, out, _ = run(capsys, "--list", "--json")
    cards = {card["id"]: card for card in json.loads(out)}
    haiku = cards["claude-haiku-5-5@2026-10-07"]

    assert code == 0
    assert [band["up_to"] for band in haiku["bands"]] == [100_000, None]
    assert haiku["bands"][0]["cache_write_5m"] == "0.125"
    assert (haiku["batch"], haiku["geo"], haiku["fast"]) == ("0.5", {"us": "1.1"}, None)
    assert cards["claude-opus-4-6@2026-02-05"]["fast"] == "6.0"
    assert cards["claude-sonnet-4-5-20250929@2026-04-30"]["retires"] == "2026-11-30"
    assert all(card["sources"] and card["valid_from"] and card["digest"] for card in cards.values())


def test_a_model_alone_shows_its_card(capsys):
    code, out, _ = run(capsys, "claude-haiku-5-5", *ON)

    assert code == 0
    for text in ("<=100k", "× 0.5", "× 1.1", "512 tokens", "$10 per 1,000", "released"):
        assert text in out


def test_a_model_alone_as_json_shows_all_its_cards(capsys):
    _, out, _ = run(capsys, "claude-sonnet-5-5", "--json", *ON)

    assert [card["valid_from"] for card in json.loads(out)] == ["2026-09-28", "2026-10-07"]


def test_an_operators_price_is_used(capsys, tmp_path):
    path = tmp_path / "p.toml"
    path.write_text(
        '[[card]]\nmodel = "claude-opus-5-5"\nvalid_from = 2026-10-01\nbands = [{ uncached = 3, '
        "cache_write_5m = 4, cache_write_1h = 6, cache_read = 0.15, output = 15 }]\n"
    )

    found = answer(capsys, "claude-opus-5-5", "--output", "1M", "--prices", str(path))

    assert found["cost"]["total"] == "15"
    assert found["rate_card"] == "claude-opus-5-5@2026-10-01"


def test_a_card_without_batch_price_refuses_a_batch(capsys, tmp_path):
    path = tmp_path / "p.toml"
    path.write_text(
        '[[card]]\nmodel = "m"\nvalid_from = 2026-10-01\nbands = [{ uncached = 3, '
        "cache_write_5m = 4, cache_write_1h = 6, cache_read = 0.15, output = 15 }]\n"
    )

    code, _, err = run(capsys, "m", "--output", "1", "--batch", "--prices", str(path), *ON)

    assert (code, "m@2026-10-01 has no batch price" in err) == (2, True)
