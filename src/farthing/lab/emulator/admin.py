"""The emulator's own endpoints under ``/emulator``: clock, faults, answers, what was received.

They are no part of the Claude API and need no key; the server listens on loopback only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from farthing.errors import ConfigError
from farthing.lab.emulator.engine import Emulator
from farthing.lab.emulator.latency import find_profile
from farthing.lab.emulator.reply import HttpRequest, Reply, json_reply

__all__ = ["admin_reply"]


def admin_reply(emulator: Emulator, http_request: HttpRequest) -> Reply:
    """The answer to one admin call."""
    actions: dict[tuple[str, str], Callable[[Emulator, Any], Any]] = {
        ("GET", "clock"): _show_clock,
        ("POST", "clock"): _advance,
        ("POST", "faults"): _add_fault,
        ("DELETE", "faults"): _clear_faults,
        ("POST", "latency"): _set_latency,
        ("POST", "script"): _load_script,
        ("POST", "rules"): _load_rules,
        ("GET", "requests"): _show_requests,
        ("GET", "state"): _show_state,
        ("DELETE", "prompt_cache"): _clear_prompt_cache,
        ("DELETE", "threads"): _clear_threads,
    }
    name = http_request.path.removeprefix("/emulator").strip("/")
    action = actions.get((http_request.method, name))
    if action is None:
        known = ", ".join(f"{method} /emulator/{path}" for method, path in actions)
        return json_reply({"error": f"no such endpoint; there are: {known}"}, status=404)
    try:
        body = msgspec.json.decode(http_request.body) if http_request.body else {}
        return json_reply(action(emulator, body))
    except (ConfigError, msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        return json_reply({"error": f"{type(error).__name__}: {error}"}, status=400)


def _show_clock(emulator: Emulator, _body: Any) -> Any:
    now = emulator.clock.now()
    return {"now": now, "at": datetime.fromtimestamp(now, UTC).isoformat()}


def _advance(emulator: Emulator, body: Any) -> Any:
    emulator.clock.advance(float(body["advance"]))
    return _show_clock(emulator, body)


def _add_fault(emulator: Emulator, body: Any) -> Any:
    emulator.faults.add(body["fault"], times=int(body.get("times", 1)), path=body.get("path", ""))
    return {"planned": body["fault"]}


def _clear_faults(emulator: Emulator, _body: Any) -> Any:
    emulator.faults.clear()
    return {}


def _set_latency(emulator: Emulator, body: Any) -> Any:
    named = find_profile(body.pop("profile", "instant"))
    emulator.messages.latency = replace(named, **{name: float(body[name]) for name in body})
    return asdict(emulator.messages.latency)


def _load_script(emulator: Emulator, body: Any) -> Any:
    emulator.load_script(body)
    return {"lines": len(emulator.script), "unused": emulator.script.unused}


def _load_rules(emulator: Emulator, body: Any) -> Any:
    emulator.load_rules(body)
    return {"rules": len(emulator.rules)}


def _show_requests(emulator: Emulator, _body: Any) -> Any:
    """Sizes and statuses only: bodies and keys are not shown."""
    return [
        {
            "method": received.http_request.method,
            "path": received.http_request.path,
            "at": received.at,
            "status": received.status,
            "request_id": received.request_id,
            "body_bytes": len(received.http_request.body),
        }
        for received in emulator.books.received
    ]


def _show_state(emulator: Emulator, body: Any) -> Any:
    return {
        **_show_clock(emulator, body),
        "billed_requests": len(emulator.books.lines),
        "prompt_cache_entries": len(emulator.messages.admission.cache),
        "script_unused": emulator.script.unused,
    }


def _clear_prompt_cache(emulator: Emulator, _body: Any) -> Any:
    emulator.messages.admission.cache.clear()
    return {}


def _clear_threads(emulator: Emulator, _body: Any) -> Any:
    emulator.messages.admission.threads.expire()
    return {}
