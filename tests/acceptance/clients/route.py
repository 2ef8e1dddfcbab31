"""What passed between a client and the emulator, as each of the witnesses saw it."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from farthing.compose import running_gateway
from farthing.config import Settings
from farthing.core.records import ExchangeRow
from farthing.driver.ports import Ledger
from farthing.lab.emulator import HttpRequest, RunningEmulator, emulator
from farthing.wire.usage import Usage
from tests.acceptance.clients.tap import Sent, Tap, end_to_end, tap

#: how long the gateway may take to record what its client has already read to the end
_PATIENCE_SECONDS: Final = 5.0

_BATCHES: Final = "/v1/messages/batches"

#: a mark, as these clients and the engine spell it, with the comma before it or behind it
_MARK: Final = re.compile(rb',"cache_control":\{[^{}]*\}|"cache_control":\{[^{}]*\},?')

#: a content of one text: who marks it has to spell it as a block
_ONE_TEXT: Final = re.compile(rb'"content":\[\{"type":"text","text":("(?:[^"\\]|\\.)*")\}\]')

#: how a client reaches the emulator
WAYS: Final = ("direct", "gateway")


@dataclass(frozen=True, slots=True)
class Route:
    """The way of one test; ``ledger`` is None where no gateway is in between."""

    tap: Tap
    emu: RunningEmulator
    ledger: Ledger | None

    @property
    def url(self) -> str:
        """What the client is told."""
        return self.tap.url

    def assert_all_arrived_unchanged(self) -> None:
        """What the emulator received is what clients wrote, byte for byte.

        Through the gateway, levers as they are by default, all but the marks is compared; of those
        it may add some, and none of a client's may be missing.
        """
        arrived = [_as_sent(received.http_request) for received in self.emu.requests]
        sent = self.tap.requests
        assert any(request.body for request in sent)
        if self.ledger is not None:
            assert _all_held(_marks(arrived), _marks(sent))
            arrived, sent = _unmarked(arrived), _unmarked(sent)
        _assert_same(_counted(arrived), _counted(sent))

    def assert_books_agree(self) -> None:
        """The gateway's ledger has each billed answer once, with the emulator's own counts."""
        if self.ledger is None:
            return
        billed = sorted(
            (parts.uncached, parts.read, parts.write_5m, parts.write_1h, bill.output)
            for bill in (line.bill for line in self.emu.billed)
            for parts in (bill.accounting,)
        )
        assert billed
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (rows := _ended(self.ledger)) != billed and time.monotonic() < deadline:
            time.sleep(0.05)
        assert rows == billed


@contextmanager
def open_route(way: str, folder: Path) -> Iterator[Route]:
    """An emulator of the test's own, a tap, and the gateway in between if the way leads there."""
    with emulator() as emu:
        if way == "direct":
            with tap(emu.url) as wire:
                yield Route(wire, emu, None)
            return
        settings = Settings(upstream=emu.url, port=0, ledger=str(folder / "ledger.db"))
        with running_gateway(settings) as gateway, tap(gateway.url) as wire:
            yield Route(wire, emu, gateway.ledger)


def _assert_same(arrived: Counter[Sent], sent: Counter[Sent]) -> None:
    difference = [
        f"{r.method} {r.target} ({len(r.body)} bytes): sent {sent[r]}, arrived {arrived[r]}"
        for r in sent | arrived
        if sent[r] != arrived[r]
    ]
    assert not difference, "\n".join(difference)


def _unmarked(requests: Iterable[Sent]) -> list[Sent]:
    return [replace(request, body=_bare(request.body)) for request in requests]


def _bare(body: bytes) -> bytes:
    return _ONE_TEXT.sub(rb'"content":\1', _MARK.sub(b"", body))


def _marks(requests: Iterable[Sent]) -> list[frozenset[str]]:
    """Where the marks of each body stand, in an order that both sides share."""
    found = [
        (request.target, _bare(request.body), frozenset(_addresses(json.loads(request.body))))
        for request in requests
        if _MARK.search(request.body)
    ]
    return [places for *_, places in sorted(found, key=lambda each: (*each[:2], len(each[2])))]


def _addresses(value: Any, above: str = "") -> Iterator[str]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, below in pairs:
        if key == "cache_control":
            yield above
        elif isinstance(below, dict | list):
            yield from _addresses(below, f"{above}.{key}")


def _all_held(arrived: list[frozenset[str]], sent: list[frozenset[str]]) -> bool:
    """Every mark of the clients' is where it was: each body sent is found, with at least those."""
    left = list(arrived)
    for places in sent:
        match = next((found for found in left if found >= places), None)
        if match is None:
            return False
        left.remove(match)
    return True


def _as_sent(request: HttpRequest) -> Sent:
    query = f"?{request.query}" if request.query else ""
    headers = end_to_end(request.headers.items())
    return Sent(request.method, request.path + query, headers, request.body)


def _counted(requests: Iterable[Sent]) -> Counter[Sent]:
    """How often each was sent; of batches the gateway asks for plain answers (ADR 0016)."""
    return Counter(map(_without_coding, requests))


def _without_coding(sent: Sent) -> Sent:
    if not sent.target.startswith(_BATCHES):
        return sent
    kept = frozenset(field for field in sent.headers if field[0] != "accept-encoding")
    return replace(sent, headers=kept)


def _ended(ledger: Ledger) -> list[tuple[int, ...]]:
    usages = (_billed_usage(row) for row in ledger.rows())
    return sorted(_counts(usage) for usage in usages if usage is not None)


def _billed_usage(row: ExchangeRow) -> Usage | None:
    """The usage of an answer that costs something: not of an error, nor of a count."""
    end = row.settlement
    if end is None or end.state != "settled" or row.opened.endpoint == "count_tokens":
        return None
    is_item = row.opened.endpoint == "batch_item" and end.error_type is None
    return end.usage if is_item or end.http_status == 200 else None


def _counts(usage: Usage) -> tuple[int, ...]:
    return (
        usage.uncached,
        usage.cache_read,
        usage.cache_write_5m,
        usage.cache_write_1h,
        usage.output,
    )
