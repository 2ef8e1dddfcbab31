"""A conversation that ends where its budget does, against the emulator: no key, no bill."""

from __future__ import annotations

import anthropic

import farthing
from farthing.lab.emulator import emulator

with (
    emulator() as claude,
    anthropic.Anthropic(base_url=claude.url, api_key=claude.api_key) as client,
):
    session = farthing.session(
        budget_usd=0.05, system="You are terse. " * 200, max_tokens=500, client=client
    )
    try:
        for number in range(100):
            session.turn("research", f"Question {number}: what is a farthing?")
            print(f"turn {number}: ${session.spent:.4f} of ${session.budget:.2f} spent")
    except farthing.BudgetExceededError as refused:
        print(refused)
