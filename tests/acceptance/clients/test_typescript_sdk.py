"""Conformance: the TypeScript SDK, unmodified, under node: one script, one verdict per call."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from farthing.lab.emulator import RunningEmulator
from tests.acceptance.clients.route import Route

pytestmark = pytest.mark.long

SCRIPT = Path(__file__).parent / "typescript_sdk.mjs"


@pytest.fixture
def calls(
    node_modules: Path, claude_api_url: str, emu: RunningEmulator, tmp_path: Path
) -> dict[str, Any]:
    """What each call of the script gave. The script lies beside the modules it imports."""
    copy = tmp_path / SCRIPT.name
    shutil.copy(SCRIPT, copy)
    (tmp_path / "node_modules").symlink_to(node_modules)
    done = subprocess.run(
        ["node", str(copy), emu.url],
        env={
            "PATH": os.environ["PATH"],
            "ANTHROPIC_BASE_URL": claude_api_url,
            "ANTHROPIC_API_KEY": "sk-emu-acme",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_every_call_of_the_typescript_sdk_works(
    calls: dict[str, Any], emu: RunningEmulator
) -> None:
    assert calls["create"]["stop_reason"] == "end_turn"
    assert calls["stream"]["text"] == calls["stream"]["final"]
    assert calls["cache"]["second"] == calls["cache"]["first"] > 4096
    assert calls["count_tokens"] == calls["create"]["input_tokens"]
    assert calls["models"] > 15
    assert calls["tool_runner"] == "end_turn"
    assert calls["batch"] == {"created": "in_progress", "ended": "ended", "rows": 5}
    assert calls["error"] == {"status": 400, "name": "BadRequestError"}
    assert calls["retried"] == "end_turn"
    assert [r.status for r in emu.requests].count(529) == 2


def test_all_it_sends_arrives_unchanged_and_is_on_record(
    calls: dict[str, Any], route: Route
) -> None:
    route.assert_all_arrived_unchanged()
    route.assert_books_agree()
