"""A client without a socket: bodies in, parsed answers out, on the emulator's virtual clock."""

from __future__ import annotations

import json
from typing import Any

from farthing.lab.emulator import Emulator, HttpRequest, Reply, Settings

__all__ = ["NEW", "OLD", "Client", "long_text", "user"]

OLD = "claude-opus-4-5"  # 4096 tokens minimum, the older tokenizer, thinking off by default
NEW = "claude-opus-5-5"  # 512 tokens minimum, always thinks, bound to its prefix


def user(text: str = "hello") -> dict[str, Any]:
    return {"role": "user", "content": text}


def long_text(words: int = 6000, *, mark: str | None = "5m", word: str = "with") -> dict[str, Any]:
    """A text block of at least that many tokens, marked unless told otherwise."""
    block: dict[str, Any] = {"type": "text", "text": " ".join([word] * words)}
    if mark:
        block["cache_control"] = {"type": "ephemeral", "ttl": mark}
    return block


class Client:
    """Sends requests as one key of one version."""

    def __init__(self, emulator: Emulator | None = None, **settings: Any) -> None:
        self.emulator = emulator or Emulator(Settings(**settings))
        self.headers = {"x-api-key": "sk-emu-acme", "anthropic-version": "2023-06-01"}

    def as_key(self, key: str) -> Client:
        other = Client(self.emulator)
        other.headers = {**self.headers, "x-api-key": key}
        return other

    def wait(self, seconds: float) -> None:
        self.emulator.clock.advance(seconds)

    def send(
        self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None
    ) -> Reply:
        path, _, query = path.partition("?")
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body else b""
        http_request = HttpRequest(
            method=method,
            path=path,
            query=query,
            headers={**self.headers, **(headers or {})},
            body=data,
        )
        return self.emulator.handle(http_request)

    def ask(self, headers: Any = None, **fields: Any) -> Any:
        """A message, which must be served."""
        reply = self.send("POST", "/v1/messages", self.body(**fields), headers=headers)
        answer = json.loads(reply.body())
        assert reply.status == 200, answer
        return answer

    def refused(self, headers: Any = None, **fields: Any) -> Any:
        """The error of a message, which must be refused; its status is added."""
        reply = self.send("POST", "/v1/messages", self.body(**fields), headers=headers)
        answer = json.loads(reply.body())
        assert reply.status != 200, answer
        return {"status": reply.status, **answer["error"]}

    def body(self, **fields: Any) -> dict[str, Any]:
        body = {"model": OLD, "max_tokens": 1000, "messages": [user()], **fields}
        return {name: value for name, value in body.items() if value is not ...}

    def get(self, path: str, *, key: str | None = None) -> Any:
        headers = {"x-api-key": key} if key else {}
        reply = self.send("GET", path, headers=headers)
        assert reply.status == 200, reply.body()
        return json.loads(reply.body())

    def cached(self, **fields: Any) -> tuple[int, int, int, int]:
        """Read, written for 5 minutes, written for an hour, uncached."""
        usage = self.ask(**fields)["usage"]
        written = usage["cache_creation"]
        return (
            usage["cache_read_input_tokens"],
            written["ephemeral_5m_input_tokens"],
            written["ephemeral_1h_input_tokens"],
            usage["input_tokens"],
        )
