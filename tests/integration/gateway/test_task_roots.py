"""A tree is one across a restart: what was below a task still counts on that task's root."""

from __future__ import annotations

from pathlib import Path

import anthropic

from farthing.compose.budgets import budget_desk
from farthing.compose.serving import running_gateway
from farthing.config import Settings
from farthing.core.budgets import Budget
from farthing.core.records import ExchangeRow
from farthing.lab.emulator import emulator
from farthing.ledger.task_roots import select_roots

MODEL = "claude-haiku-4-5"


def test_grandchildren_count_on_the_root_also_after_a_restart(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    tree = Budget(name="tree", scope="tree", limit_pico=10**12)
    budget_desk(ledger).set(tree, actor="test")
    rows = dict[str, ExchangeRow]()
    with emulator() as emu:
        settings = Settings(upstream=emu.url, port=0, ledger=str(ledger), cache="off")
        for number, names in enumerate((("root kid", "kid kid2"), ("kid2 kid3", "kid4 kid5"))):
            with (
                running_gateway(settings) as running,
                anthropic.Anthropic(
                    base_url=running.url, api_key=emu.api_key, max_retries=0
                ) as claude,
            ):
                for parent, task in (each.split() for each in names):
                    claude.messages.create(
                        model=MODEL,
                        max_tokens=64,
                        messages=[{"role": "user", "content": f"{task} {number}"}],
                        extra_headers={"x-farthing-task": task, "x-farthing-parent": parent},
                    )
                running.ledger.flush()
                rows = {row.opened.attribution.task_id: row for row in running.ledger.rows()}

    keys = {task: row.opened.budget_keys for task, row in rows.items()}
    ours = dict.fromkeys(("kid", "kid2", "kid3"), ("tree:root",))
    assert keys == {**ours, "kid5": ("tree:kid4",)}
    scope = rows["kid"].opened.attribution.key_scope
    assert select_roots(ledger) == [
        (scope, "kid", "root"),
        (scope, "kid2", "root"),
        (scope, "kid3", "root"),
        (scope, "kid5", "kid4"),
    ]
