"""Every ledger there is: a test that takes ``ledger`` or ``place`` runs on each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from farthing.driver.ports import Ledger
from tests.contract.places import Place, memory, sqlite


@pytest.fixture(params=["memory", "thread", "process"])
def place(request, tmp_path) -> Iterator[Place]:
    """In memory, or in a file that a thread or a child process writes."""
    how = request.param
    made = Place(memory if how == "memory" else sqlite(tmp_path, writing=how))
    yield made
    made.ledger.close()


@pytest.fixture
def ledger(place: Place) -> Ledger:
    return place.ledger
