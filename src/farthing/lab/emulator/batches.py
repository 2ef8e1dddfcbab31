"""Message Batches: created at once, processed in the background, ended as a whole.

Theory of operation (API facts, section 3). Nothing runs in the background here: each batch knows
from its creation when each item will be done, and whoever looks at it makes it catch up with the
clock, in the order of time. All counts but ``processing`` stay zero until the whole batch has
ended. Items are checked only when they are processed, so a bad one errors and the create succeeds.
Prompt-cache reads are best effort: a share of the items finds it cold.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random
from typing import Any

import msgspec

from farthing.lab.emulator.call import Call
from farthing.lab.emulator.faults import NO_FAULT, Fault
from farthing.lab.emulator.ids import IdSource
from farthing.lab.emulator.paging import page_of
from farthing.lab.emulator.refusal import Refusal, invalid, not_found
from farthing.lab.emulator.reply import HttpRequest, Piece, Reply, json_reply
from farthing.lab.emulator.serving import MessagesApi
from farthing.lab.emulator.settings import Settings

__all__ = ["Batches"]

_ITEMS_MAX = 100_000
_DAY = 86_400.0
_RESULTS_KEPT = 29 * _DAY
_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_OUTCOMES = ("succeeded", "errored", "canceled", "expired")


class _Item(msgspec.Struct):
    custom_id: str
    params: msgspec.Raw


class _Body(msgspec.Struct):
    requests: list[_Item]


@dataclass(slots=True, kw_only=True)
class _Batch:
    id: str
    call: Call
    base_url: str
    created_at: float
    # when and what: (due, custom id, params), earliest first
    waiting: list[tuple[float, str, bytes]]
    never: list[str]
    results: list[dict[str, Any]] = field(default_factory=list)
    cancel_at: float | None = None
    ended_at: float | None = None

    @property
    def expires_at(self) -> float:
        return self.created_at + _DAY

    @property
    def size(self) -> int:
        return len(self.waiting) + len(self.never) + len(self.results)

    def is_archived(self, now: float) -> bool:
        return now >= self.created_at + _RESULTS_KEPT


class Batches:
    """The batches of every workspace."""

    def __init__(self, messages: MessagesApi, settings: Settings, ids: IdSource) -> None:
        self._messages = messages
        self._settings = settings
        self._ids = ids
        self._held: dict[tuple[str, str], _Batch] = {}

    def handle(self, http_request: HttpRequest, path: str, call: Call, fault: Fault) -> Reply:
        """Any request under ``/v1/messages/batches``."""
        fault.raise_if_refused()
        rest = path.removeprefix("/v1/messages/batches").strip("/").split("/")
        method = http_request.method
        if rest == [""]:
            return (
                self._create(http_request, call, fault)
                if method == "POST"
                else self._list(http_request, call)
            )
        batch = self._find(rest[0], call)
        match (method, *rest[1:]):
            case ("GET",):
                return json_reply(_show(batch, call.now))
            case ("DELETE",):
                return self._delete(batch, call)
            case ("GET", "results"):
                return _results(batch, call.now)
            case ("POST", "cancel"):
                return self._cancel(batch, call)
            case _:
                raise not_found(f"Not Found: {method} {path}")

    def _create(self, http_request: HttpRequest, call: Call, fault: Fault) -> Reply:
        items = _items(http_request.body)
        random = Random(f"{self._settings.seed}/{call.request_id}")
        span = self._settings.batch_seconds if fault.batch_delay is None else fault.batch_delay
        waiting, never = [], []
        for item in items:
            if random.random() < fault.batch_expire:
                never.append(item.custom_id)
            else:
                due = call.now + span * (0.5 + random.random() / 2)
                waiting.append((due, item.custom_id, bytes(item.params)))
        scheme = http_request.headers.get("x-forwarded-proto", "http")
        batch = _Batch(
            id=self._ids.next("msgbatch_"),
            call=call,
            base_url=f"{scheme}://{http_request.headers.get('host', 'localhost')}",
            created_at=call.now,
            waiting=sorted(waiting),
            never=never,
        )
        self._held[call.account.scope, batch.id] = batch
        return json_reply(_show(batch, call.now))

    def _list(self, http_request: HttpRequest, call: Call) -> Reply:
        own = [b for (scope, _), b in self._held.items() if scope == call.account.scope]
        for batch in own:
            self._catch_up(batch, call.now)
        rows = [_show(batch, call.now) for batch in reversed(own)]
        return json_reply(page_of(rows, http_request.query))

    def _find(self, batch_id: str, call: Call) -> _Batch:
        batch = self._held.get((call.account.scope, batch_id))
        if batch is None:
            raise not_found(f"Not found: {batch_id}")
        self._catch_up(batch, call.now)
        return batch

    def _cancel(self, batch: _Batch, call: Call) -> Reply:
        if batch.ended_at is not None:
            raise invalid(f"Batch {batch.id} cannot be canceled: it has already ended")
        if batch.cancel_at is None:
            batch.cancel_at = call.now
        return json_reply(_show(batch, call.now))

    def _delete(self, batch: _Batch, call: Call) -> Reply:
        if batch.ended_at is None:
            raise invalid(f"Batch {batch.id} is still in progress: cancel it first")
        del self._held[call.account.scope, batch.id]
        return json_reply({"id": batch.id, "type": "message_batch_deleted"})

    def _catch_up(self, batch: _Batch, now: float) -> None:
        """Process what is due; end the batch when nothing waits any more."""
        if batch.ended_at is not None:
            return
        stop = min(now, batch.expires_at, batch.cancel_at if batch.cancel_at is not None else now)
        while batch.waiting and batch.waiting[0][0] <= stop:
            due, custom_id, params = batch.waiting.pop(0)
            batch.results.append(
                {"custom_id": custom_id, "result": self._process(batch, params, due)}
            )
        if batch.cancel_at is not None and now > batch.cancel_at:
            self._end(batch, "canceled", batch.cancel_at)
        elif now >= batch.expires_at:
            self._end(batch, "expired", batch.expires_at)
        elif not batch.waiting and not batch.never:
            self._end(batch, "expired", stop)

    def _end(self, batch: _Batch, outcome: str, at: float) -> None:
        left = [custom_id for _, custom_id, _ in batch.waiting] + batch.never
        batch.results += [{"custom_id": one, "result": {"type": outcome}} for one in left]
        batch.waiting, batch.never = [], []
        batch.ended_at = at
        Random(batch.id).shuffle(batch.results)

    def _process(self, batch: _Batch, params: bytes, due: float) -> dict[str, Any]:
        request_id = self._ids.next("req_")
        call = replace(batch.call, now=due, request_id=request_id, batch=True)
        cold = Random(request_id).random() >= self._settings.batch_hit_ratio
        try:
            served = self._messages.serve(params, call, Fault(evict=True) if cold else NO_FAULT)
        except Refusal as refusal:
            return {"type": "errored", "error": refusal.envelope(request_id)}
        return {"type": "succeeded", "message": served.message}


def _items(body: bytes) -> Sequence[_Item]:
    try:
        items = msgspec.json.decode(body, type=_Body).requests
    except msgspec.ValidationError as error:
        raise invalid(f"requests: {error}") from error
    except msgspec.DecodeError as error:
        raise invalid(f"The request body is not valid JSON: {error}") from error
    if not items:
        raise invalid("requests: List should have at least 1 item")
    if len(items) > _ITEMS_MAX:
        raise Refusal(413, f"requests: at most {_ITEMS_MAX} requests are allowed")
    for n, item in enumerate(items):
        if not _CUSTOM_ID.fullmatch(item.custom_id):
            raise invalid(f"requests.{n}.custom_id: String should match '^[a-zA-Z0-9_-]{{1,64}}$'")
    if len({item.custom_id for item in items}) < len(items):
        raise invalid("requests: custom_id must be unique within a batch")
    return items


def _instant(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _show(batch: _Batch, now: float) -> dict[str, Any]:
    ended = batch.ended_at is not None
    counts = dict.fromkeys(("processing", *_OUTCOMES), 0)
    if ended:
        for row in batch.results:
            counts[row["result"]["type"]] += 1
    else:
        counts["processing"] = batch.size
    running = "canceling" if batch.cancel_at is not None else "in_progress"
    archived = batch.is_archived(now)
    url = f"{batch.base_url}/v1/messages/batches/{batch.id}/results"
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": "ended" if ended else running,
        "request_counts": counts,
        "created_at": _instant(batch.created_at),
        "expires_at": _instant(batch.expires_at),
        "ended_at": _instant(batch.ended_at),
        "cancel_initiated_at": _instant(batch.cancel_at),
        "archived_at": _instant(batch.created_at + _RESULTS_KEPT) if archived else None,
        "results_url": url if ended and not archived else None,
    }


def _results(batch: _Batch, now: float) -> Reply:
    if batch.ended_at is None:
        raise not_found(f"Batch {batch.id} has no results yet: it is still in progress")
    if batch.is_archived(now):
        raise not_found(f"The results of batch {batch.id} are no longer available")
    lines = b"".join(msgspec.json.encode(row) + b"\n" for row in batch.results)
    headers = {"content-type": "application/x-jsonl", "content-length": str(len(lines))}
    return Reply(status=200, headers=headers, pieces=(Piece(data=lines),))
