"""LiteLLM logs as conversations: ``StandardLoggingPayload`` lines and ``LiteLLM_SpendLogs`` rows.

Rules from outside (LiteLLM's logging specification and issues #15056, #8784, #11364, PR #23342 of
its repository, read 2026-11):

- a payload has ``id``, ``startTime``/``endTime`` (seconds), ``messages``, ``response``; a spend-log
  row has ``request_id``, ISO times and, with prompt storage on, the same two as JSON or as strings;
- its ``cache_hit`` speaks of LiteLLM's own cache; a hit cost nothing at the provider;
- the provider's counts are in ``metadata.usage_object`` or ``response.usage``. Normalised,
  ``prompt_tokens`` includes cached tokens in newer versions and excludes them in older ones and on
  the ``anthropic_messages`` route. Where reads and writes exceed it, it must exclude them; where it
  covers them, it is taken to include them, unless ``input_tokens`` says it itself;
- one-hour writes are known only where the details survived; else a write counts as a 5-minute one.

Rows with one session or trace id whose messages extend one another become one conversation.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Raw

from farthing.traces.dedupe import SeenCalls
from farthing.traces.format import ABSENT, Call, Conversation, Message
from farthing.traces.instants import dump_instant, parse_instant
from farthing.traces.lines import read_lines
from farthing.traces.litellm_messages import Prompt, parse_answer, parse_prompt
from farthing.traces.litellm_usage import reported_usage
from farthing.traces.outputs import output_tokens
from farthing.traces.problems import Problems

__all__ = ["SOURCE", "is_spend_log", "read_spend_log"]

SOURCE: Final = "litellm"

#: conversations that may still grow; more at once are written as they stand
_OPEN: Final = 256

_PAYLOAD_KEYS: Final = frozenset({"startTime", "endTime", "call_type"})


def is_spend_log(members: Mapping[str, object]) -> bool:
    """Is this object a LiteLLM record: a payload or a row of the spend table."""
    has_id = "id" in members or "request_id" in members
    return has_id and members.keys() >= _PAYLOAD_KEYS and "model" in members


def read_spend_log(path: Path, seen: SeenCalls, problems: Problems) -> Iterator[Conversation]:
    """The conversations of one log; at most 256 are held at a time."""
    growing: OrderedDict[str, _Growing] = OrderedDict()
    for line in read_lines(path, problems):
        record = _parse(line, str(path), problems)
        if record is None:
            continue
        call = _Record(record)
        known = growing.pop(call.thread_key, None)
        if known is not None and not known.takes(call):
            yield known.conversation(seen)
            known = None
        known = known or _Growing(call)
        known.add(call, str(path), problems)
        growing[call.thread_key] = known
        if len(growing) > _OPEN:
            yield growing.popitem(last=False)[1].conversation(seen)
    for rest in growing.values():
        yield rest.conversation(seen)


def _parse(line: bytes, where: str, problems: Problems) -> dict[str, Any] | None:
    try:
        record = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        problems.note("malformed", where)
        return None
    if not isinstance(record, dict) or not is_spend_log(record):
        problems.note("foreign_record", where)
        return None
    return record


class _Record:
    """One logged call, read with suspicion: any field may be missing or of another shape."""

    def __init__(self, record: dict[str, Any]) -> None:
        self._record = record
        self.metadata = _object(record.get("metadata"))
        self.request = _object(record.get("proxy_server_request"))
        self.response = _object(record.get("response"))
        self.request_id = _text(record.get("request_id")) or _text(record.get("id"))
        self.message_id = _text(self.response.get("id")) or self.request_id
        self.asked_at = parse_instant(_moment(record.get("startTime")))
        self.done_at = parse_instant(_moment(record.get("endTime")))
        self.prompt: Prompt = parse_prompt(
            _json(record.get("messages")) or self.request.get("messages"), self._body()
        )

    def _body(self) -> dict[str, Any]:
        parameters = _object(self._record.get("model_parameters"))
        return {**parameters, **self.request}

    @property
    def thread_key(self) -> str:
        """What calls of one conversation share; a record without is alone."""
        record = self._record
        for value in (
            record.get("session_id"),
            self.metadata.get("session_id"),
            record.get("trace_id"),
        ):
            if _text(value):
                return f"{_text(value)} {record.get('model')}"
        return self.request_id or str(id(self))

    @property
    def session_id(self) -> str | None:
        """The caller's session, if it named one."""
        record = self._record
        named = (record.get("session_id"), self.metadata.get("session_id"), record.get("trace_id"))
        return next((text for value in named if (text := _text(value))), None)

    @property
    def model(self) -> str | None:
        """The model id without the provider's prefix."""
        model = _text(self._record.get("model"))
        return model.rpartition("/")[2] if model else None

    @property
    def project(self) -> str:
        """Who spent it: key alias, team, end user, as far as the log says."""
        names = (
            self.metadata.get("user_api_key_team_alias"),
            self.metadata.get("user_api_key_alias"),
            self._record.get("team_id"),
            self._record.get("end_user"),
        )
        return next((text for value in names if (text := _text(value))), SOURCE)

    @property
    def streamed(self) -> bool | None:
        """Whether the caller asked for a stream."""
        stream = self._record.get("stream", self._body().get("stream"))
        return stream if isinstance(stream, bool) else None

    @property
    def is_free(self) -> bool:
        """Answered by LiteLLM's own cache, or failed: nothing was billed."""
        hit = self._record.get("cache_hit")
        status = self._record.get("status") or self.metadata.get("status")
        return hit in (True, "True", "true") or status == "failure"

    def usage(self) -> Raw:
        """The counts in the provider's words; ABSENT where there are none."""
        counts = reported_usage(self._record, self.metadata, self.response)
        return Raw(msgspec.json.encode(counts)) if counts else ABSENT


class _Growing:
    """A conversation that later rows may extend."""

    def __init__(self, first: _Record) -> None:
        self._first = first
        self._messages: list[Message] = []
        self._records: list[tuple[_Record, int, Raw]] = []

    def takes(self, record: _Record) -> bool:
        """Does this call's prompt start with all that was said so far."""
        kept = [message for message in self._messages if message.role == "user"]
        said = [message for message in record.prompt.messages if message.role == "user"]
        same = [bytes(m.content) for m in kept] == [bytes(m.content) for m in said[: len(kept)]]
        return (
            same and len(said) > len(kept) > 0 and record.prompt.system == self._first.prompt.system
        )

    def add(self, record: _Record, where: str, problems: Problems) -> None:
        """Take a call."""
        usage = record.usage()
        if usage is ABSENT and not record.is_free:
            problems.note("no_usage", where)
        answer = parse_answer(record.response)
        self._messages = list(record.prompt.messages)
        self._records.append((record, len(self._messages), usage))
        if answer is not None:
            self._messages.append(answer)

    def conversation(self, seen: SeenCalls) -> Conversation:
        """What it has become."""
        first = self._first
        identity = first.session_id or first.request_id or "unknown"
        return Conversation(
            id=f"{SOURCE}/{identity}/{first.request_id}#0",
            source=SOURCE,
            model=first.model,
            started_at=None if first.asked_at is None else dump_instant(first.asked_at),
            system=first.prompt.system,
            tools=first.prompt.tools,
            messages=self._messages,
            calls=[self._call(*record, seen) for record in self._records],
            session_id=first.session_id or first.request_id,
            project=first.project,
        )

    def _call(self, record: _Record, prompt_messages: int, usage: Raw, seen: SeenCalls) -> Call:
        known = None
        if record.message_id:
            known = seen.admit(record.message_id, output_tokens(usage))
        return Call(
            prompt_messages=prompt_messages,
            model=record.model,
            usage=usage,
            at=_offset(record.asked_at, self._first.asked_at),
            done_at=_offset(record.done_at, self._first.asked_at),
            request_id=record.request_id,
            message_id=record.message_id,
            stop_reason=_text(record.response.get("stop_reason")),
            replayed=known is not None,
            late_output_tokens=known or 0,
            synthetic=record.is_free,
            streamed=record.streamed,
        )


def _offset(instant: float | None, start: float | None) -> float | None:
    return None if instant is None or start is None else round(instant - start, 3)


def _json(value: object) -> Any:
    """The value, decoded if the database gave JSON as a string."""
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _object(value: object) -> dict[str, Any]:
    found = _json(value)
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _moment(value: object) -> str | float | None:
    return value if isinstance(value, str | int | float) else None
