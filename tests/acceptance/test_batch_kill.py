"""A gateway is killed between a batch and its results: the next one books them, once."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anthropic

from farthing.core.records import ExchangeRow, RowFilter
from farthing.lab.emulator import emulator
from farthing.ledger.checking import check
from farthing.ledger.database import select_rows
from tests.acceptance.test_serve import farthing

KEY = "sk-emu-acme"
PARAMS: Any = {
    "model": "claude-opus-4-5",
    "max_tokens": 50,
    "messages": [{"role": "user", "content": "hello"}],
}
REQUESTS: list[Any] = [{"custom_id": f"row-{n}", "params": PARAMS} for n in range(20)]


@contextmanager
def serving(upstream: str, folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = farthing("serve", "--port", "0", "--upstream", upstream)
    command += ["--ledger", str(folder / "ledger.db"), "--batch-poll-seconds", "0.05"]
    environment = {**os.environ, "HOME": str(folder), "FARTHING_API_KEY": KEY}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip().partition("=")[2]
    finally:
        process.kill()
        process.communicate()


def items(path: Path) -> list[ExchangeRow]:
    return [row for row in select_rows(path, RowFilter()) if row.opened.endpoint == "batch_item"]


def test_a_killed_gateway_forgets_no_batch_and_books_none_twice(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with emulator() as emu:
        with serving(emu.url, tmp_path) as (process, url):
            with anthropic.Anthropic(base_url=url, api_key="nobody", max_retries=0) as claude:
                named = {"x-farthing-task": "nightly"}
                claude.messages.batches.create(requests=REQUESTS, extra_headers=named)
            process.kill()
        assert items(path) == []
        emu.advance(7200)
        for kills in range(2):
            with serving(emu.url, tmp_path) as (process, _):
                deadline = time.monotonic() + 20
                while len(items(path)) < len(REQUESTS) and time.monotonic() < deadline:
                    time.sleep(0.05)
                # the second time everything is known: nothing is asked for again
                time.sleep(0.2 * kills)
        results = [r for r in emu.requests if r.http_request.path.endswith("/results")]
        billed = len(emu.billed)

    assert len(results) in {1, 2}  # two where the kill came before the batch was marked as booked
    assert billed == len(REQUESTS)
    rows = items(path)
    assert {row.state for row in rows} == {"settled"}
    assert sorted(row.opened.exchange_id.partition(":")[2] for row in rows) == sorted(
        request["custom_id"] for request in REQUESTS
    )
    assert {row.opened.attribution.task_id for row in rows} == {"nightly"}
    assert {finding.level for finding in check(path)} <= {"ok", "note"}
