from __future__ import annotations

import threading
from collections.abc import Generator
from typing import Any

import pytest

from farthing.core.exchange_effects import Effect, Now
from farthing.driver.one_by_one import OneByOne


def conversation(lock: threading.Lock, said: list[Any]) -> Generator[Effect[Any], Any, None]:
    """Notes what it is told, and whether the lock was held while it decided."""
    for _ in range(2):
        said.append(lock.locked())
        try:
            said.append((yield Now()))
        except KeyError as error:
            said.append(type(error))


def test_every_step_is_taken_under_the_lock_and_no_effect_is():
    lock, said = threading.Lock(), list[Any]()
    guarded = OneByOne(conversation(lock, said), lock)

    effects = [next(guarded), guarded.throw(KeyError())]
    assert not lock.locked()
    with pytest.raises(StopIteration):
        guarded.send("reply")

    assert effects == [Now(), Now()]
    assert said == [True, KeyError, True, "reply"]
    assert not lock.locked()


def test_closing_it_closes_the_conversation():
    lock, said = threading.Lock(), list[Any]()
    inner = conversation(lock, said)
    guarded = OneByOne(inner, lock)
    next(guarded)

    guarded.close()

    with pytest.raises(StopIteration):
        next(inner)
