"""Whose exchange is it? Read from what clients already send; the first source that speaks wins.

Order: our own headers; Claude Code's session and agent headers; the session in
``metadata.user_id``; ``traceparent`` with its baggage; else the lineage, which is the digest of the
conversation's head.

Rules from outside (API facts 9.1, 2026-11): Claude Code names its session, agent and parent agent
in ``x-claude-code-*``, and puts a JSON text with ``session_id`` into ``metadata.user_id`` (older
versions: ``user_…_account_…_session_<uuid>``). ``traceparent`` is W3C Trace Context, level 2:
version, 32 hex digits of trace id, span id, flags; an all-zero id means none.

Rules of this file: a credential goes into a keyed digest and nowhere else. Names that a client
chose are cut to a length and rid of control characters; they are ids, not text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import msgspec

from farthing.core.masking import masked
from farthing.core.records import Attribution
from farthing.errors import RequestError
from farthing.wire.request import Request

__all__ = [
    "attribute",
    "clean_name",
    "head_digest",
    "key_scope",
    "keyed_digest",
    "task_type_of",
]

_SESSION_ID: Final = "x-claude-code-session-id"
_LONGEST_NAME: Final = 200
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
_OLD_USER_ID: Final = re.compile(r"user_.*_session_([0-9A-Za-z-]{1,64})")
_PERCENT: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_NO_TRACE: Final = "0" * 32
_DIGEST_BYTES: Final = 16


class _UserId(msgspec.Struct, frozen=True):
    session_id: str | None = None


_user_id_decoder = msgspec.json.Decoder(_UserId)


@dataclass(frozen=True, slots=True)
class _Session:
    """A session as a client names it, perhaps with the agent that speaks in it."""

    id: str
    agent: str | None = None
    parent_agent: str | None = None

    @property
    def task(self) -> str:
        """A subagent's work is a task of its own, below the session's."""
        return f"{self.id}/{self.agent}" if self.agent else self.id

    @property
    def parent_task(self) -> str | None:
        """The task of whoever called the agent; the main conversation has none."""
        if not self.agent:
            return None
        return f"{self.id}/{self.parent_agent}" if self.parent_agent else self.id


def attribute(
    headers: Mapping[str, str],
    request: Request | None,
    *,
    install_key: bytes,
    key_name: str | None = None,
) -> Attribution:
    """The attribution of one call; ``request`` is None where the body is no Messages request.

    ``key_name``: the virtual key that it came with, which is then its scope.
    """
    scope = key_name or key_scope(headers, install_key)
    session = _claude_code_session(headers) if _SESSION_ID in headers else None
    if "x-farthing-task" in headers and (task := _name(headers, "x-farthing-task")):
        parent = _name(headers, "x-farthing-parent")
        return Attribution(
            task_id=task,
            parent_task_id=parent,
            root_task_id=_name(headers, "x-farthing-root") or parent or task,
            task_type=_name(headers, "x-farthing-task-type"),
            key_scope=scope,
            session_id=session.id if session else None,
            agent_id=session.agent if session else None,
            source="header",
        )
    task_type = _name(headers, "x-farthing-task-type")
    if session is not None:
        return Attribution(
            task_id=session.task,
            parent_task_id=session.parent_task,
            root_task_id=session.id,
            task_type=task_type,
            key_scope=scope,
            session_id=session.id,
            agent_id=session.agent,
            source="claude-code",
        )
    return _from_the_rest(headers, request, scope, task_type, install_key)


def _from_the_rest(
    headers: Mapping[str, str],
    request: Request | None,
    scope: str,
    task_type: str | None,
    install_key: bytes,
) -> Attribution:
    if found := _metadata_session(request):
        return Attribution(
            task_id=found,
            root_task_id=found,
            task_type=task_type,
            key_scope=scope,
            session_id=found,
            source="metadata",
        )
    if "traceparent" in headers and (trace := _trace(headers)):
        baggage = _baggage(headers)
        return Attribution(
            task_id=baggage.get("farthing.task") or f"trace:{trace}",
            root_task_id=baggage.get("farthing.task") or f"trace:{trace}",
            task_type=task_type or baggage.get("farthing.task_type"),
            key_scope=scope,
            source="traceparent",
        )
    lineage = f"lineage:{head_digest(request, scope, install_key)}"
    return Attribution(
        task_id=lineage,
        root_task_id=lineage,
        task_type=task_type,
        key_scope=scope,
        source="lineage",
    )


def task_type_of(headers: Mapping[str, str]) -> str | None:
    """The task type, as far as the headers alone say it."""
    named = _name(headers, "x-farthing-task-type")
    return named or (_baggage(headers).get("farthing.task_type") if "baggage" in headers else None)


def keyed_digest(data: bytes, install_key: bytes) -> str:
    """What may rest of ``data``: useless without the key of this installation."""
    return blake2b(data, key=install_key, digest_size=_DIGEST_BYTES).hexdigest()


def key_scope(headers: Mapping[str, str], install_key: bytes) -> str:
    """Who pays, as a keyed digest: of ``x-farthing-key``, else of the API key.

    The same key in ``x-api-key`` and as a bearer is one scope: clients differ, and some send both.
    """
    credential = (
        headers.get("x-farthing-key")
        or headers.get("x-api-key")
        or headers.get("authorization", "").removeprefix("Bearer ")
    )
    return keyed_digest(credential.encode(errors="replace"), install_key)


def head_digest(request: Request | None, scope: str, install_key: bytes) -> str:
    """The keyed digest of a conversation's head: its system prompt and first message.

    Marks move from turn to turn and do not count. Without a readable head all calls of a key are
    one lineage.
    """
    digest = blake2b(scope.encode(), key=install_key, digest_size=_DIGEST_BYTES)
    try:
        for block in _head(request):
            digest.update(block)
    except RequestError:
        pass  # a body the provider will refuse; what was read of its head stands for it
    return digest.hexdigest()


def _head(request: Request | None) -> list[bytes]:
    if request is None:
        return []
    spans = request.message_spans
    if not spans:
        return [block.digest for block in request.system]
    # The first message alone: a long conversation has hundreds that nobody asks for here.
    start, end = spans[0]
    first = Request.parse(b'{"messages":[' + request.body[start:end] + b"]}").blocks
    return [block.digest for block in (*request.system, *first)]


# -- sources --------------------------------------------------------------------------------------


def _name(headers: Mapping[str, str], header: str) -> str | None:
    """A name a client chose, made fit to rest in a ledger."""
    text = headers.get(header)
    return clean_name(text) if text else None


def clean_name(text: str) -> str | None:
    """A name as it rests in a ledger; None: nothing is left of it. A key is no name."""
    plain = _CONTROL.sub("", text).strip()
    return (masked(plain) if "sk-" in plain else plain[:_LONGEST_NAME]) or None


def _claude_code_session(headers: Mapping[str, str]) -> _Session | None:
    session = _name(headers, _SESSION_ID)
    if session is None:
        return None
    return _Session(
        session,
        _name(headers, "x-claude-code-agent-id"),
        _name(headers, "x-claude-code-parent-agent-id"),
    )


def _metadata_session(request: Request | None) -> str | None:
    user_id = None if request is None else request.user_id
    if not user_id:
        return None
    if user_id.startswith("{"):
        try:
            return clean_name(_user_id_decoder.decode(user_id).session_id or "")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
    found = _OLD_USER_ID.fullmatch(user_id)
    return clean_name(found[1]) if found else None


def _trace(headers: Mapping[str, str]) -> str | None:
    found = _TRACEPARENT.fullmatch(headers["traceparent"].strip().lower())
    return found[1] if found and found[1] != _NO_TRACE else None


def _baggage(headers: Mapping[str, str]) -> dict[str, str]:
    """The members of the baggage header; their properties behind a semicolon are not ours.

    Values are percent-encoded (W3C Baggage, section 3.3.1.3, read 2026-11).
    """
    pairs = (member.partition(";")[0].partition("=") for member in _members(headers))
    return {
        key.strip(): cleaned for key, _, text in pairs if (cleaned := clean_name(_unquoted(text)))
    }


def _unquoted(text: str) -> str:
    plain = _PERCENT.sub(lambda found: bytes.fromhex(found[1].decode()), text.encode())
    return plain.decode(errors="replace")


def _members(headers: Mapping[str, str]) -> list[str]:
    return headers.get("baggage", "").split(",")
