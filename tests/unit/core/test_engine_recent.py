"""Which former request the next turn goes on from, and how much is remembered."""

from __future__ import annotations

from farthing.core.engine import Engine
from farthing.core.engine_recent import Recents
from tests.unit.core.engine_cases import Process, body, setup


def test_a_conversation_goes_on_from_its_last_request():
    one = Process()
    one.turn(body(1))
    one.turn(body(2))

    reading = one.engine.read(body(3), {})

    assert reading.after is not None
    assert reading.after.request.body == body(2)
    assert reading.request.messages[0] is reading.after.request.messages[0]
    assert len(one.engine.recents) == 1


def test_of_conversations_that_begin_alike_the_one_that_shares_most_is_taken():
    one = Process()
    for name in ("left", "right", "up", "down", "in", "out"):
        one.turn(body(1, system=f"Go {name}. " * 400))

    reading = one.engine.read(body(2, system="Go down. " * 400), {})

    assert reading.after is not None
    assert b"Go down" in reading.after.request.body
    assert len(one.engine.recents) == 4


def test_sessions_are_told_apart():
    one = Process()
    one.turn(body(1))

    assert one.engine.read(body(2), {"x-claude-code-session-id": "other"}).after is None


def test_a_request_without_messages_is_read_alone():
    engine = Engine(setup())

    assert engine.read(b'{"model":"m"}', {}).after is None


def test_memory_is_bounded_by_count_and_by_bytes():
    few, small = Process(), Process()
    few.engine.recents = Recents(capacity=2)
    small.engine.recents = Recents(most_bytes=40_000)
    for one in (few, small):
        for number in range(5):
            said = [{"role": "user", "content": f"{number} says hello"}]
            one.turn(body(messages=said))

    assert len(few.engine.recents) == 2
    assert 0 < len(small.engine.recents) < 5
    assert small.engine.recents.size_bytes <= 40_000


def test_of_conversations_that_begin_alike_the_oldest_goes_first():
    one = Process()
    one.engine.recents = Recents(capacity=2)
    for name in ("left", "right", "up"):
        one.turn(body(1, system=f"Go {name}. " * 400))

    reading = one.engine.read(body(2, system="Go left. " * 400), {})

    assert len(one.engine.recents) == 2
    assert reading.after is not None
    assert b"Go left" not in reading.after.request.body
