"""What every store of keys does, and the desk over it: a name once, a change once, a journal."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from farthing.core.journal_chain import JournalEvent
from farthing.core.keys import VirtualKey
from farthing.driver.keys import KeyConflict, KeyDesk, KeyStore, LiveKeys, NewKey, UnknownKey
from farthing.errors import ConfigError, RequestError
from farthing.ledger import SqliteLedger
from farthing.ledger.keys import MemoryKeys, SqliteKeys
from tests.unit.core.test_keys import KEY

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


class HandClock:
    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> datetime:
        return self.at

    def monotonic_ns(self) -> int:
        return 0


@pytest.fixture(params=["memory", "sqlite"])
def replica(request, tmp_path) -> Iterator[Callable[[], KeyStore]]:
    """Opens the same store once more: another process on one file, the same in memory."""
    memory = MemoryKeys()
    opened: list[KeyStore] = []

    def open_one() -> KeyStore:
        is_memory = request.param == "memory"
        store: KeyStore = memory if is_memory else SqliteKeys(tmp_path / "ledger.db")
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(replica: Callable[[], KeyStore]) -> KeyStore:
    return replica()


@pytest.fixture
def events() -> list[JournalEvent]:
    return []


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def desk(store, events, clock) -> KeyDesk:
    return KeyDesk(store, record=events.append, clock=clock)


def test_a_key_is_kept_whole_and_found_by_every_replica(replica):
    whole = replace(KEY, expires_at=NOON, models=("a", "b*"), levers=(), revoked_at=NOON)
    assert replica().add(whole)
    assert replica().listed() == [whole]


def test_a_name_and_an_id_are_taken_once(store):
    assert store.add(KEY)
    assert not store.add(replace(KEY, key_id="ffffffffffff"))
    assert not store.add(replace(KEY, name="other"))
    assert store.listed() == [KEY]


def test_of_two_changes_of_one_state_the_first_wins(replica):
    one, other = replica(), replica()
    one.add(KEY)
    later = replace(KEY, version=2, revoked_at=NOON)

    assert one.change(later)
    assert not other.change(replace(KEY, version=2))
    assert not other.change(replace(KEY, key_id="ffffffffffff", version=2))
    assert other.listed() == [later]


def test_every_change_is_counted_and_a_refused_one_is_not(replica):
    one, other = replica(), replica()
    counts = [one.changes()]
    one.add(KEY)
    counts.append(other.changes())
    one.add(KEY)
    counts.append(other.changes())
    other.change(replace(KEY, version=2))
    counts.append(one.changes())

    assert counts == [0, 1, 1, 2]


def test_of_many_who_want_one_name_one_gets_it(replica):
    got = []
    stores = [replica() for _ in range(8)]

    def want(number: int) -> None:
        got.append(stores[number].add(replace(KEY, key_id=f"{number:012x}")))

    jobs = [threading.Thread(target=want, args=(number,)) for number in range(8)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()

    assert sorted(got) == [False] * 7 + [True]


def test_keys_are_changed_while_a_gateway_has_the_ledger(tmp_path):
    ledger = SqliteLedger(tmp_path / "ledger.db")
    try:
        store = SqliteKeys(tmp_path / "ledger.db")
        assert store.add(KEY)
        store.close()
    finally:
        ledger.close()


def test_the_file_refuses_to_forget_a_key(tmp_path):
    store = SqliteKeys(tmp_path / "ledger.db")
    store.add(KEY)
    store.close()
    connection = sqlite3.connect(tmp_path / "ledger.db")
    with pytest.raises(sqlite3.IntegrityError, match="never deleted"):
        connection.execute("DELETE FROM virtual_keys")
    connection.close()


# -- the desk -------------------------------------------------------------------------------------


def found(store: KeyStore, text: str, at: datetime = NOON) -> VirtualKey | str:
    return LiveKeys(store).ring.find(text, at)


def test_a_new_key_is_recognised_and_its_text_is_nowhere(desk, store, events):
    wanted = NewKey(name="ci", models=["m", "n-*"], levers=[], expires_at=NOON + timedelta(1))
    issued = desk.create(wanted, actor="operator")
    secret = issued.text.rpartition("-")[2]

    assert found(store, issued.text) == issued.key
    assert secret not in repr([issued, store.listed(), events, desk])
    [event] = events
    assert (event.kind, event.subject, event.actor) == ("key.created", "ci", "operator")
    assert event.facts == {
        "key_id": issued.key.key_id,
        "role": "client",
        "models": "m, n-*",
        "levers": "none",
        "expires_at": "2026-11-22T12:00:00+00:00",
    }


def test_two_keys_share_neither_id_nor_salt_nor_secret(desk):
    one, other = (desk.create(NewKey(name=name), actor="o") for name in ("a", "b"))

    assert one.key.key_id != other.key.key_id
    assert one.key.secrets[0].salt != other.key.secrets[0].salt
    assert one.text[-43:] != other.text[-43:]


def test_a_name_is_used_once_also_after_revocation(desk):
    desk.create(NewKey(name="ci"), actor="o")
    desk.revoke("ci", actor="o")
    with pytest.raises(KeyConflict, match="used once"):
        desk.create(NewKey(name="ci"), actor="o")


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        (NewKey(name="CI"), ConfigError),
        (NewKey(name="a", models=["?"]), ConfigError),
        (NewKey(name="a", levers=["magic"]), ConfigError),
        (NewKey(name="a", expires_at=NOON), RequestError),
    ],
)
def test_what_no_key_can_be_is_refused_and_not_journaled(desk, store, events, wanted, error):
    with pytest.raises(error):
        desk.create(wanted, actor="o")
    assert (store.listed(), events) == ([], [])


def test_rotating_ends_the_old_secret_at_once(desk, store, events):
    old = desk.create(NewKey(name="ci"), actor="o")
    new = desk.rotate("ci", actor="o")

    assert found(store, new.text) == new.key
    assert found(store, old.text) == "unknown"
    assert new.key.key_id == old.key.key_id
    assert [event.kind for event in events] == ["key.created", "key.rotated"]


def test_rotating_may_keep_the_old_secret_for_a_while_and_only_the_last_one(desk, store, clock):
    texts = [desk.create(NewKey(name="ci"), actor="o").text]
    texts += [desk.rotate("ci", actor="o", keep=timedelta(hours=1)).text for _ in range(2)]
    [key] = store.listed()
    at = clock.at + timedelta(minutes=59)

    assert [found(store, text, at) == key for text in texts] == [False, True, True]
    later = clock.at + timedelta(hours=1)
    assert [found(store, text, later) == key for text in texts] == [False, False, True]


def test_revoking_is_at_once_for_good_and_journaled_once(desk, store, events):
    issued = desk.create(NewKey(name="ci"), actor="o")
    revoked = desk.revoke("ci", actor="o")

    assert desk.revoke("ci", actor="o") == revoked
    assert found(store, issued.text) == "revoked"
    assert [event.kind for event in events] == ["key.created", "key.revoked"]
    with pytest.raises(KeyConflict, match="is revoked"):
        desk.rotate("ci", actor="o")


def test_an_unknown_name_is_said(desk):
    with pytest.raises(UnknownKey, match="there is no key 'ci'"):
        desk.revoke("ci", actor="o")


def test_a_change_that_comes_second_is_told(desk, store, events):
    desk.create(NewKey(name="ci"), actor="o")
    stale: list[VirtualKey] = store.listed()

    class Late(MemoryKeys):
        def listed(self) -> list[VirtualKey]:
            return stale

    with pytest.raises(KeyConflict, match="somebody else"):
        KeyDesk(Late(), record=events.append, clock=HandClock()).rotate("ci", actor="o")


def test_a_gateway_takes_over_what_another_process_changed(replica, events, clock):
    live = LiveKeys(replica())
    assert live.ring.is_empty
    issued = KeyDesk(replica(), record=events.append, clock=clock).create(
        NewKey(name="ci"), actor="o"
    )
    before = live.ring
    live.refresh()
    after = live.ring
    live.refresh()

    assert before.is_empty
    assert after.find(issued.text, NOON) == issued.key
    assert live.ring is after
