"""Small recordings made by hand: transcripts as Claude Code writes them, and conversations."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec import Raw

from farthing.traces.format import ABSENT, Call, Conversation, Message
from farthing.traces.importing import Import, import_paths

START = datetime(2026, 10, 10, 9, tzinfo=UTC)
MODEL = "claude-opus-4-8"


def usage(
    uncached: int = 0, write: int = 0, read: int = 0, output: int = 0, *, write_1h: int = 0
) -> dict[str, Any]:
    return {
        "input_tokens": uncached,
        "cache_creation_input_tokens": write + write_1h,
        "cache_read_input_tokens": read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": write,
            "ephemeral_1h_input_tokens": write_1h,
        },
        "output_tokens": output,
        "service_tier": "standard",
    }


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def tool_use(identity: str, name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": identity, "name": name, "input": arguments}


def tool_result(identity: str, content: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": identity, "content": content}


@dataclass
class Transcript:
    """Lines of one session, ``seconds`` after the start."""

    session: str = "s1"
    cwd: str = "/home/dev/shop"
    lines: list[dict[str, Any]] = field(default_factory=list)

    def add(self, kind: str, seconds: float, **members: Any) -> str:
        uuid = f"{self.session}-{len(self.lines)}"
        parent = self.lines[-1]["uuid"] if self.lines else None
        self.lines.append(
            {
                "type": kind,
                "uuid": uuid,
                "parentUuid": parent,
                "sessionId": self.session,
                "cwd": self.cwd,
                "version": "2.1.300",
                "timestamp": (START + timedelta(seconds=seconds)).isoformat(),
                **members,
            }
        )
        return uuid

    def user(self, content: Any, seconds: float, **members: Any) -> str:
        return self.add("user", seconds, message={"role": "user", "content": content}, **members)

    def answer(
        self, identity: str, blocks: list[Any], counts: Any, seconds: float, **members: Any
    ) -> str:
        """One line per block, as the client writes them."""
        uuid = ""
        model = members.pop("model", MODEL)
        request_id = members.pop("request_id", f"req_{identity}")
        for block in blocks:
            message = {
                "id": identity,
                "type": "message",
                "role": "assistant",
                "model": model,
                "content": [block],
                "stop_reason": None,
                "usage": counts,
            }
            uuid = self.add("assistant", seconds, message=message, requestId=request_id, **members)
        return uuid

    def dump(self) -> bytes:
        return b"".join(
            json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in self.lines
        )

    def write(self, folder: Path, name: str | None = None) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / (name or f"{self.session}.jsonl")
        path.write_bytes(self.dump())
        return path


def session(name: str = "s1", turns: int = 3, *, gap: float = 10.0, ids: str = "") -> Transcript:
    """A plain session: a question, then turns that read one file each, all in the prompt cache."""
    made = Transcript(session=name)
    made.user("please look at the shop", 0)
    prompt = 20_000
    for turn in range(turns):
        at = turn * gap
        counts = usage(uncached=10, write=1_000, read=prompt if turn else 0, output=50)
        if not turn:
            counts = usage(uncached=10, write=prompt, output=50)
        identity = f"toolu_{name}_{turn}"
        use = tool_use(identity, "Read", file_path=f"/home/dev/shop/file{turn}.py")
        made.answer(f"msg_{ids or name}_{turn}", [text("I look."), use], counts, at + 2)
        made.user([tool_result(identity, f"line {turn}\n" * 300)], at + 3)
        prompt += 0 if not turn else 1_000
    return made


def read(*paths: Path) -> tuple[list[Conversation], Import]:
    """Everything below the paths."""
    state = Import()
    return list(import_paths(paths, state)), state


def raw(value: Any) -> Raw:
    return Raw(json.dumps(value).encode())


def call(prompt_messages: int, counts: Any = None, *, at: float | None = 0.0, **more: Any) -> Call:
    given = ABSENT if counts is None else raw(counts)
    return Call(prompt_messages=prompt_messages, usage=given, at=at, **more)


def conversation(
    calls: list[Call], messages: list[tuple[str, Any]] | None = None, **more: Any
) -> Conversation:
    said = messages or [("user", "hello")]
    members: dict[str, Any] = {
        "id": "c#0",
        "source": "test",
        "model": MODEL,
        "started_at": START.isoformat(),
        **more,
    }
    listed = [Message(role=role, content=raw(content)) for role, content in said]
    return Conversation(messages=listed, calls=calls, **members)
