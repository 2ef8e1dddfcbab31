from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from farthing.cli.main import main

SONNET = "--model claude-sonnet-4-6 --on 2026-11-20"


def estimate(capsys: pytest.CaptureFixture[str], line: str) -> tuple[int, str, str]:
    code = main(["estimate", *line.split()])
    return code, *capsys.readouterr()


def rows(capsys: pytest.CaptureFixture[str], line: str) -> dict[str, Any]:
    code, out, _ = estimate(capsys, f"{line} --json")
    assert code == 0
    return {row["label"]: row for row in json.loads(out)["rows"]}


def test_four_thousand_tokens_a_hundred_times(capsys: pytest.CaptureFixture[str]):
    found = rows(capsys, f"--prefix 4000 --turns 100 {SONNET}")

    assert found["no cache"]["input_usd"] == "1.2"
    assert found["mark on the prefix, 5m"]["input_usd"] == "0.1338"


def test_with_a_growing_history_the_prefix_is_the_small_part(capsys: pytest.CaptureFixture[str]):
    found = rows(capsys, f"--prefix 4000 --turns 100 --grow 500 --output 200 {SONNET}")

    assert found["no cache"]["input_usd"] == "8.625"
    assert found["mark on the prefix, 5m"]["input_usd"] == "7.5588"
    assert found["rolling mark, 5m"]["input_usd"] == "1.047075"
    assert found["rolling mark, 5m"]["total_usd"] == "1.347075"
    assert found["batch, no cache"]["total_usd"] == "4.4625"


def test_too_short_to_cache_is_said_first_and_nothing_is_saved(capsys: pytest.CaptureFixture[str]):
    line = "--prefix 2000 --turns 1000 --model claude-haiku-4-5 --on 2026-11-20"
    code, out, _ = estimate(capsys, line)

    assert code == 0
    assert out.startswith("too short to cache: claude-haiku-4-5 caches nothing below 4,096 tokens")
    assert {
        row["total_usd"] for name, row in rows(capsys, line).items() if "batch" not in name
    } == {"2"}


def test_a_prefix_too_short_on_its_own_is_said_too(capsys: pytest.CaptureFixture[str]):
    _, out, _ = estimate(capsys, f"--prefix 1000 --turns 10 --grow 100 {SONNET}")

    assert out.startswith("prefix too short to cache")


def test_six_minutes_between_requests_make_five_minute_writes_dearer(
    capsys: pytest.CaptureFixture[str],
):
    found = rows(capsys, f"--prefix 2000 --turns 10 --gap 6m {SONNET}")

    assert found["rolling mark, 5m"]["ratio_to_no_cache"] == 1.25
    assert found["rolling mark, 1h"]["ratio_to_no_cache"] < 0.3


EXPIRES = "every 5m entry expires before the next turn"


@pytest.mark.parametrize(
    ("line", "is_said"),
    [
        ("--turns 10 --gap 299s", False),
        ("--turns 10 --gap 5m", True),
        ("--turns 1 --gap 5m", False),
        ("--turns 2 --gap 5m", True),
        ("--turns 10 --gap 30s", False),
    ],
)
def test_that_every_entry_expires_is_said_only_where_it_does(
    capsys: pytest.CaptureFixture[str], line: str, is_said: bool
):
    assert (EXPIRES in estimate(capsys, f"--prefix 2000 {line} {SONNET}")[1]) is is_said


def test_a_write_of_a_prompt_long_enough_at_last_has_not_expired(
    capsys: pytest.CaptureFixture[str],
):
    line = f"--prefix 1000 --turns 2 --grow 100 --gap 30s {SONNET}"

    assert (
        rows(capsys, line)["rolling mark, 5m"]["total_usd"]
        > rows(capsys, line)["no cache"]["total_usd"]
    )
    assert EXPIRES not in estimate(capsys, line)[1]


@pytest.mark.parametrize(("prefix", "is_said"), [(4_095, True), (4_096, False)])
def test_that_the_cheaper_tier_caches_nothing_so_short_is_said(
    capsys: pytest.CaptureFixture[str], prefix: int, is_said: bool
):
    note = "rolling, 5m, claude-haiku-4-5: too short to cache on claude-haiku-4-5 (4,096)"

    assert (note in estimate(capsys, f"--prefix {prefix} --turns 3 {SONNET}")[1]) is is_said


def own_prices(tmp_path: Path, rate: str) -> str:
    path = tmp_path / "prices.toml"
    path.write_text(
        f'[[card]]\nmodel = "my-model"\nvalid_from = 2026-01-01\nbands = [{{ uncached = {rate}, '
        f"cache_write_5m = {rate}, cache_write_1h = {rate}, cache_read = 0, output = {rate} }}]\n"
    )
    return f"--model my-model --on 2026-11-20 --prices {path}"


def test_a_model_of_a_price_file_is_estimated(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    found = rows(capsys, f"--prefix 4000 --turns 2 {own_prices(tmp_path, '1')}")

    assert found["no cache"]["total_usd"] == "0.008"
    assert found["rolling mark, 5m"]["total_usd"] == "0.004"


def test_a_model_that_costs_nothing_is_estimated_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    line = f"--prefix 4000 --turns 2 {own_prices(tmp_path, '0')}"

    assert {row["ratio_to_no_cache"] for row in rows(capsys, line).values()} == {None}
    assert estimate(capsys, line)[0] == 0


def test_the_cheaper_tier_counts_tokens_alike_and_is_still_sold(capsys: pytest.CaptureFixture[str]):
    for model, cheaper in (
        ("claude-sonnet-4-6", "claude-haiku-4-5-20251001"),
        ("claude-opus-5-5", "claude-sonnet-5-5"),
        ("claude-sonnet-5-5", "claude-haiku-5-5"),
        ("claude-fable-5-2", "claude-opus-5-5"),
    ):
        found = rows(capsys, f"--prefix 5000 --turns 2 --model {model} --on 2026-11-20")
        assert [row["model"] for row in found.values()][-1] == cheaper


def test_the_cheapest_tier_has_no_cheaper_one(capsys: pytest.CaptureFixture[str]):
    found = rows(capsys, "--prefix 5000 --turns 2 --model claude-haiku-5-5 --on 2026-11-20")

    assert {row["model"] for row in found.values()} == {"claude-haiku-5-5"}


def test_batch_halves_every_row_and_needs_no_row_of_its_own(capsys: pytest.CaptureFixture[str]):
    plain = rows(capsys, f"--prefix 4000 --turns 10 {SONNET}")
    batch = rows(capsys, f"--prefix 4000 --turns 10 --batch {SONNET}")

    assert "batch, no cache" not in batch
    assert float(batch["no cache"]["total_usd"]) * 2 == float(plain["no cache"]["total_usd"])


def test_a_conversation_that_outgrows_the_context_is_noted(capsys: pytest.CaptureFixture[str]):
    line = "--prefix 100k --turns 3 --grow 60k --model claude-haiku-4-5"

    assert "the API would refuse it" in estimate(capsys, line)[1]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"--prefix 0 --turns 3 {SONNET}", "--prefix is 0"),
        (f"--prefix 1 --turns 0 {SONNET}", "--turns is 0"),
        (f"--prefix 1 --turns 10001 {SONNET}", "give 1 to 10,000"),
        ("--prefix 1 --turns 2 --model claude-sonet-4-6", "did you mean 'claude-sonnet-4-6'"),
    ],
)
def test_what_cannot_be_estimated_says_what_to_do(
    capsys: pytest.CaptureFixture[str], line: str, said: str
):
    code, _, err = estimate(capsys, line)

    assert code == 2
    assert said in err


@pytest.mark.parametrize("gap", ["6", "-3s", "5 weeks"])
def test_a_gap_without_a_unit_shows_how_to_write_one(capsys: pytest.CaptureFixture[str], gap: str):
    with pytest.raises(SystemExit) as caught:
        estimate(capsys, f"--prefix 1 --turns 2 --gap={gap.replace(' ', '')} {SONNET}")

    assert caught.value.code == 2
    assert "write 5s, 7m, 1.5h or 2d" in capsys.readouterr().err


def test_a_deprecated_model_is_estimated_with_a_warning(capsys: pytest.CaptureFixture[str]):
    _, _, err = estimate(
        capsys, "--prefix 5000 --turns 2 --gap 2h --model claude-sonnet-4-5 --on 2026-11-20"
    )

    assert "deprecated" in err
