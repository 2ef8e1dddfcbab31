"""LiteLLM with ``cache_control_injection_points``: requests in, usage out, a line each.

Its own Messages route, so that its hook places the marks and its client sends them. The points are
the system prompt and the last message, what its documentation shows for conversations.
"""

from __future__ import annotations

import asyncio
import json
import sys
from importlib.metadata import version
from typing import Any

import litellm

CONTROL = {"type": "ephemeral", "ttl": sys.argv[1]}
POINTS = [
    {"location": "message", "role": "system", "control": CONTROL},
    {"location": "message", "index": -1, "control": CONTROL},
]


async def main() -> None:
    say({"versions": {"litellm": version("litellm")}})
    for line in sys.stdin:
        given = json.loads(line)
        try:
            say({"usage": await send(given)})
        except Exception as error:  # noqa: BLE001  the parent decides what a failure means
            say({"error": f"{type(error).__name__}: {error}"[:500]})


async def send(given: dict[str, Any]) -> dict[str, Any]:
    body = given["body"]
    more = {name: body[name] for name in ("system", "tools") if name in body}
    answer = await litellm.anthropic.messages.acreate(
        model=f"anthropic/{body['model']}",
        max_tokens=body["max_tokens"],
        messages=body["messages"],
        api_base=given["url"],
        api_key=given["key"],
        extra_headers=given["headers"],
        cache_control_injection_points=POINTS,
        **more,
    )
    usage: dict[str, Any] = answer["usage"]
    return usage


def say(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)


litellm.suppress_debug_info = True
asyncio.run(main())
