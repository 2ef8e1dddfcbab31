"""The small values around an exchange: plan, tap, call."""

from __future__ import annotations

import pytest

from farthing.core import exchange_tap
from farthing.core.exchange_tap import BatchLines, Tap
from farthing.wire.meter import StreamMeter
from tests.unit.driver.talks import call, stream


def test_a_call_shows_no_content():
    assert "farthing?" not in repr(call())


@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_lines_are_read_wherever_they_are_cut(cut: int):
    lines = BatchLines()
    text = b"".join(b'{"custom_id":"%d","result":{"type":"expired"}}\n\n' % n for n in range(300))

    for at in range(0, len(text), cut):
        lines.feed(text[at : at + cut])
    lines.finish()

    assert lines.is_full
    assert [found.custom_id for found in lines.take()] == [str(n) for n in range(300)]
    assert not lines.is_full


@pytest.mark.parametrize(("spare", "unreadable"), [(0, 0), (-1, 1)])
def test_a_line_beyond_the_limit_is_passed_over(monkeypatch, spare: int, unreadable: int):
    line = b'{"custom_id":"a","result":{"type":"expired"}}'
    monkeypatch.setattr(exchange_tap, "_LONGEST_LINE", len(line) + spare)
    lines = BatchLines()

    lines.feed(line + b"\n")

    assert lines.unreadable == unreadable


class Half:
    """Holds back every chunk but the last."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []

    def decode(self, chunk: bytes) -> bytes:
        self.kept.append(chunk)
        return b"".join(self.kept) if chunk.startswith(b"event: message_stop") else b""


def test_a_decoder_may_hold_bytes_back():
    meter = StreamMeter()
    tap = Tap(meter, Half())

    for chunk in stream():
        tap.feed(chunk)

    assert meter.final_usage_seen
    assert tap.response_bytes == len(b"".join(stream()))
