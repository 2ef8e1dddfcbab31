"""Rows through a Message Batch, at half the price, against the emulator."""

from __future__ import annotations

import anthropic

import farthing
from farthing.batch import Row
from farthing.lab.emulator import emulator

ROWS: list[Row] = [
    {"custom_id": f"ticket-{n}", "user_message": f"Urgent or not? Ticket {n}: …"} for n in range(3)
]

with (
    emulator() as claude,
    anthropic.Anthropic(base_url=claude.url, api_key=claude.api_key) as client,
):
    model = farthing.select_model("classify")
    batch_id = farthing.batch.submit(ROWS, model=model, max_tokens=50, client=client)
    claude.advance(3600)  # the emulator's clock: an hour costs nothing
    for row in farthing.batch.results(batch_id, client=client):
        if "error" in row:
            print(row["custom_id"], row["error"])
        else:
            print(row["custom_id"], f"${farthing.cost_per_task(model, usage=row['usage']):.8f}")
