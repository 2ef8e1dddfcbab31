"""A trace without what was said: text becomes stand-in text of the same length.

Theory of operation. What a replay or an audit needs is sizes, kinds, tool names, times, usage, and
*whether two pieces are equal*. So each string becomes a filler of as many characters that starts
with a keyed digest of the original: equal stays equal, different stays different, and without the
key nobody can test a guess. The key is random for each export and never written.

Kept: roles, block types, tool names, argument and property names that look like identifiers, ids of
tool uses (random by nature), usage, models, times, numbers of the request's parameters.
Replaced: every other string, digits of numbers in content, and the ids of sessions, requests,
messages, users and projects (by digests). Dropped: ``meta``.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec
from msgspec import Raw

from farthing.traces.format import ABSENT, Call, Conversation, Message, is_given

__all__ = ["Mode", "Redactor"]

Mode = Literal["filler", "digest"]

#: members of blocks, tools and schemas that say what something is, not what was said
_KEPT: Final = frozenset(
    {"type", "id", "tool_use_id", "name", "role", "media_type", "cache_control", "ttl", "required"}
)
#: below these everything is the caller's own
_OPAQUE: Final = frozenset({"input", "source", "citations"})
_PARAMETERS: Final = frozenset(
    {
        "max_tokens", "temperature", "top_p", "top_k", "stream", "thinking", "service_tier",
        "speed", "inference_geo", "output_config", "tool_choice", "context_management",
    }
)  # fmt: skip

_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}|[a-z]{1,20}/[a-z0-9.+-]{1,40}", re.ASCII)
_DIGEST_CHARS: Final = 12
_FILLER: Final = "x"


@dataclass(frozen=True, slots=True)
class Redactor:
    """Replaces text under one key."""

    key: bytes = field(repr=False)
    mode: Mode = "filler"

    def redact(self, conversation: Conversation) -> Conversation:
        """The same conversation with nothing readable in it."""
        thread, mark, segment = conversation.id.rpartition("#")
        identity = f"{self._name(thread or segment)}{mark}{segment if mark else ''}"
        return msgspec.structs.replace(
            conversation,
            id=identity,
            system=self._raw(conversation.system),
            tools=self._raw(conversation.tools),
            parameters=self._parameters(conversation.parameters),
            messages=[
                Message(role=message.role, content=self._raw(message.content))
                for message in conversation.messages
            ],
            calls=[self._call(call) for call in conversation.calls],
            session_id=self._maybe_name(conversation.session_id),
            agent_id=self._maybe_name(conversation.agent_id),
            project=self._maybe_name(conversation.project),
            user_key=self._maybe_name(conversation.user_key),
            meta=ABSENT,
        )

    def text(self, text: str) -> str:
        """The stand-in for one string."""
        digest = self._digest(text)
        if self.mode == "digest":
            return f"[{digest} {len(text)} characters]"
        return (digest + _FILLER * (len(text) - len(digest)))[: len(text)]

    def _call(self, call: Call) -> Call:
        return msgspec.structs.replace(
            call,
            request_id=self._maybe_name(call.request_id),
            message_id=self._maybe_name(call.message_id),
        )

    def _parameters(self, raw: Raw) -> Raw:
        if not is_given(raw):
            return ABSENT
        members = msgspec.json.decode(raw)
        kept = {name: value for name, value in members.items() if name in _PARAMETERS}
        return Raw(msgspec.json.encode(kept))

    def _raw(self, raw: Raw) -> Raw:
        if not bytes(raw):
            return raw
        return Raw(msgspec.json.encode(self._scrub(msgspec.json.decode(raw), opaque=False)))

    def _scrub(self, value: Any, *, opaque: bool) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._scrub(item, opaque=opaque) for item in value]
        if isinstance(value, dict):
            return {
                self._member(name): self._value(name, item, opaque=opaque)
                for name, item in value.items()
            }
        if isinstance(value, bool) or value is None:
            return value
        return int("1" * len(str(abs(int(value)))))

    def _value(self, name: str, value: Any, *, opaque: bool) -> Any:
        if name in _KEPT and not opaque and _is_plain(value):
            return value
        return self._scrub(value, opaque=opaque or name in _OPAQUE)

    def _member(self, name: str) -> str:
        return name if _IDENTIFIER.fullmatch(name) else self.text(name)

    def _maybe_name(self, name: str | None) -> str | None:
        return None if name is None else self._name(name)

    def _name(self, name: str) -> str:
        return f"redacted-{self._digest(name)}"

    def _digest(self, text: str) -> str:
        raw = text.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(raw, key=self.key, digest_size=_DIGEST_CHARS // 2).hexdigest()


def _is_plain(value: Any) -> bool:
    """An identifier or a media type, or nothing but these: a name, not a text."""
    if isinstance(value, str):
        return _NAME.fullmatch(value) is not None
    if isinstance(value, list):
        return all(_is_plain(item) for item in value)
    return isinstance(value, dict) and all(_is_plain(item) for item in value.values())
