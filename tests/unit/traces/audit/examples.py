"""Audits of conversations made by hand."""

from __future__ import annotations

from datetime import date
from typing import Any

from farthing.pricing import catalog
from farthing.traces.audit import Audit, build_document
from farthing.traces.format import Conversation
from farthing.traces.importing import Import
from tests.unit.traces.recorded import call, conversation, text, tool_result, tool_use, usage


def audit_of(*conversations: Conversation, since: date | None = None) -> Audit:
    audit = Audit(catalog(), since=since)
    for one in conversations:
        audit.add(one)
    return audit


def document_of(*conversations: Conversation, since: date | None = None) -> dict[str, Any]:
    return build_document(audit_of(*conversations, since=since), Import())


def session_of(
    times: list[float], *, ttl: str = "5m", model: str = "claude-opus-4-8"
) -> Conversation:
    """A thread whose calls start at these seconds; what should have expired is written again."""
    messages: list[tuple[str, Any]] = [("user", "go")]
    calls, prompt, last = [], 30_000, None
    lifetime = 300 if ttl == "5m" else 3600
    for index, at in enumerate(times):
        alive = last is not None and at - last < lifetime
        read, written = (prompt - 1_000, 1_000) if alive else (0, prompt)
        counts = usage(write=written, read=read, output=500)
        if ttl == "1h":
            counts = usage(write_1h=written, read=read, output=500)
        calls.append(call(len(messages), counts, at=at, message_id=f"msg_{index}"))
        messages.append(("assistant", [text("a"), tool_use(f"t{index}", "Edit", file_path="/w/a")]))
        messages.append(("user", [tool_result(f"t{index}", "ok")]))
        prompt, last = prompt + 1_000, at
    more: dict[str, Any] = {"prefix_pad_tokens": 29_000, "tools_inferred": True}
    return conversation(calls, messages, model=model, interactive=True, ended_by="end", **more)
