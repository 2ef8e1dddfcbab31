"""The pure functions of the library on one agent's conversation: no key, no network."""

from __future__ import annotations

from typing import Any

import farthing

TOOL = {"name": "run_tests", "input_schema": {"type": "object"}}
messages: list[dict[str, Any]] = [{"role": "user", "content": "Make the tests pass."}]
detector = farthing.LoopDetector()

for step in range(9):
    call = {"type": "tool_use", "id": f"t{step}", "name": "run_tests", "input": {}}
    outcome = "3 failed" if step > 1 else f"{5 - step} failed"
    result = {"type": "tool_result", "tool_use_id": f"t{step}", "content": outcome + " ." * 500}
    messages += [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    if match := detector.record(("run_tests", outcome)):
        print(f"step {step}: {match.cycle} came {match.repeats} times in a row")
        break

model = farthing.select_model("code_generation")
request = {"model": model, "max_tokens": 1000, "tools": [TOOL], "messages": messages}
marks = str(farthing.cached(request)).count("cache_control")
print(f"{model}: {marks} marks for the prompt cache")
print(f"pruned: {len(messages)} -> {len(farthing.prune_messages(messages, 1000))} messages")
print(farthing.summarize_history(messages, keep_last=2, characters=40)["content"].splitlines()[0])
print(f"${farthing.estimate_cost(model, 100_000, 1000):.4f} uncached,", end=" ")
print(f"${farthing.estimate_cost(model, 100_000, 1000, cached_tokens=98_000):.4f} cached")
