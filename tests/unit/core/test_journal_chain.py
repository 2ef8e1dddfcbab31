"""The journal's chain: whatever is done to it without its key is seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core.journal_chain import (
    KINDS,
    Entry,
    Fact,
    Head,
    appended,
    dump_event,
    journal_event,
    journal_key,
    parse_event,
    seal_of,
    verify_chain,
)
from farthing.core.journal_folding import Folding
from farthing.errors import LedgerError

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
KEY = journal_key(b"k" * 32)


def event(number: int = 0, *, subject: str = "task:t1", seconds: float = 0.0):
    at = NOON + timedelta(seconds=seconds)
    facts: dict[str, Fact] = {"limit_usd": "5", "number": number, "is_last": False, "until": None}
    return journal_event("call.refused", at, actor="engine", subject=subject, facts=facts)


def chain(count: int, key: bytes = KEY) -> tuple[list[Entry], Head]:
    entries, head = list[Entry](), None
    for number in range(count):
        entry, head = appended(key, head, dump_event(event(number)))
        entries.append(entry)
    assert head is not None
    return entries, head


def is_sound(entries: list[Entry], head: Head | None, *, noted: Head | None = None) -> bool:
    seal = None if head is None else seal_of(KEY, head)
    return verify_chain(KEY, entries, head=head, seal=seal, noted=noted).is_sound


def test_what_was_appended_verifies_and_says_where_it_ends():
    entries, head = chain(5)
    found = verify_chain(KEY, entries, head=head, seal=seal_of(KEY, head))
    assert found.is_sound
    assert found.head == head
    assert [entry.number for entry in entries] == [1, 2, 3, 4, 5]


def test_an_empty_journal_is_sound_and_so_is_its_noted_head():
    found = verify_chain(KEY, [], head=None, seal=None)
    assert found.is_sound
    assert is_sound([], None, noted=Head(count=0, digest=b""))


ENTRIES, HEAD = chain(8)
PLACES = st.integers(0, len(ENTRIES) - 1)
EVENTS = st.integers(100, 10**6).map(lambda number: dump_event(event(number)))


def changed_event(entries: list[Entry], data: st.DataObject) -> None:
    place, other = data.draw(PLACES), data.draw(EVENTS)
    entries[place] = replace(entries[place], event=other)


def changed_bit(entries: list[Entry], data: st.DataObject) -> None:
    place = data.draw(PLACES)
    digest = bytearray(entries[place].digest)
    digest[data.draw(st.integers(0, len(digest) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    entries[place] = replace(entries[place], digest=bytes(digest))


def changed_number(entries: list[Entry], data: st.DataObject) -> None:
    place = data.draw(PLACES)
    number = data.draw(st.integers(-5, 50).filter(lambda n: n != entries[place].number))
    entries[place] = replace(entries[place], number=number)


def removed(entries: list[Entry], data: st.DataObject) -> None:
    del entries[data.draw(PLACES)]


def removed_and_numbered_anew(entries: list[Entry], data: st.DataObject) -> None:
    removed(entries, data)
    entries[:] = [replace(entry, number=place) for place, entry in enumerate(entries, 1)]


def cut(entries: list[Entry], data: st.DataObject) -> None:
    del entries[data.draw(PLACES) :]


def swapped(entries: list[Entry], data: st.DataObject) -> None:
    one, other = sorted(data.draw(st.lists(PLACES, min_size=2, max_size=2, unique=True)))
    first, second = entries[one], entries[other]
    entries[one] = replace(second, number=first.number)
    entries[other] = replace(first, number=second.number)


def reordered(entries: list[Entry], data: st.DataObject) -> None:
    one, other = sorted(data.draw(st.lists(PLACES, min_size=2, max_size=2, unique=True)))
    entries[one], entries[other] = entries[other], entries[one]


def inserted(entries: list[Entry], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(entries)))
    new = Entry(number=place + 1, event=data.draw(EVENTS), digest=data.draw(st.binary(min_size=32)))
    entries.insert(place, new)


def repeated(entries: list[Entry], data: st.DataObject) -> None:
    place = data.draw(PLACES)
    entries.insert(place, entries[place])


def forged_with_another_key(entries: list[Entry], data: st.DataObject) -> None:
    entries[:], _ = chain(len(entries), journal_key(b"x" * 32))


TAMPERING = [
    changed_event,
    changed_bit,
    changed_number,
    removed,
    removed_and_numbered_anew,
    cut,
    swapped,
    reordered,
    inserted,
    repeated,
    forged_with_another_key,
]


@pytest.mark.parametrize("tamper", TAMPERING, ids=lambda tamper: tamper.__name__)
@given(data=st.data())
def test_any_change_is_seen(tamper, data):
    entries = list(ENTRIES)
    tamper(entries, data)
    assert not is_sound(entries, HEAD)


@given(data=st.data())
def test_a_tail_cut_off_with_a_head_made_up_for_it_is_seen(data):
    left = data.draw(st.integers(1, len(ENTRIES) - 1))
    head = Head(count=left, digest=ENTRIES[left - 1].digest)
    seal = data.draw(st.one_of(st.binary(max_size=40), st.just(seal_of(KEY, HEAD))))
    assert not verify_chain(KEY, ENTRIES[:left], head=head, seal=seal).is_sound


def test_a_head_that_is_gone_is_seen():
    assert not verify_chain(KEY, ENTRIES, head=None, seal=None).is_sound
    assert not verify_chain(KEY, [], head=HEAD, seal=seal_of(KEY, HEAD)).is_sound


def test_the_whole_put_back_to_an_older_copy_is_seen_by_a_head_noted_elsewhere():
    old, head = ENTRIES[:5], Head(count=5, digest=ENTRIES[4].digest)
    assert is_sound(old, head)
    assert not is_sound(old, head, noted=HEAD)
    assert not is_sound([], None, noted=HEAD)
    assert is_sound(ENTRIES, HEAD, noted=head)


def test_what_is_found_is_named_by_its_entry():
    entries = [*ENTRIES[:2], *ENTRIES[3:]]
    found = verify_chain(KEY, entries, head=HEAD, seal=seal_of(KEY, HEAD)).findings
    assert (found[0].number, found[0].text) == (3, "entry 3 is missing")
    twice = verify_chain(KEY, [ENTRIES[0], ENTRIES[0]], head=HEAD, seal=seal_of(KEY, HEAD))
    assert twice.findings[0].text == "out of order"


def test_a_head_is_written_and_read_as_one_word():
    assert Head.parse(str(HEAD)) == HEAD


@pytest.mark.parametrize("text", ["", "8", "8:abc", f"x:{'0' * 64}", f"8:{'z' * 64}"])
def test_what_is_no_head_is_refused(text):
    with pytest.raises(ValueError, match=r".+"):
        Head.parse(text)


def test_an_event_has_one_spelling_and_is_read_back():
    assert parse_event(dump_event(event())) == event()
    facts = {"b": 1, "a": 2}
    one = journal_event("budget.raised", NOON, actor="a", subject="s", facts=facts)
    other = journal_event(
        "budget.raised", NOON, actor="a", subject="s", facts=dict(reversed(facts.items()))
    )
    assert dump_event(one) == dump_event(other)


@pytest.mark.parametrize("raw", [b"", b"{}", b"\xff"])
def test_what_is_no_event_is_said_to_be_unreadable(raw):
    with pytest.raises(LedgerError, match="cannot be read"):
        parse_event(raw)


def test_keys_are_masked_and_facts_are_short_before_they_are_sealed():
    secret = "sk-ant-api03-abcdefgh12345678"
    facts = {"why": f"bad key {secret}", secret: "x" * 1000} | {f"n{i}": i for i in range(99)}
    made = journal_event("key.created", NOON, actor=secret, subject=secret, facts=facts)
    text = dump_event(made).decode()
    assert "sk-ant" not in text
    assert len(made.facts) == 32
    assert max(len(fact) for fact in made.facts.values() if isinstance(fact, str)) == 200
    assert made.kind in KINDS


def test_the_same_refusal_is_said_at_once_and_then_once_a_minute_with_its_number():
    folding = Folding(seconds=60)
    said = [folding.add(event(seconds=second)) for second in (0, 1, 2, 59)]
    assert [len(events) for events in said] == [1, 0, 0, 0]
    assert folding.due(NOON + timedelta(seconds=59)) == []
    later = folding.add(event(seconds=60))
    assert [one.facts.get("times") for one in later] == [3, None]
    assert folding.due(NOON + timedelta(seconds=120)) == []


def test_what_was_counted_is_said_when_its_time_is_over_or_at_the_end():
    folding = Folding(seconds=60)
    for subject in ("a", "a", "b", "b", "b"):
        folding.add(event(subject=subject))
    due = folding.due(NOON + timedelta(seconds=60))
    assert [(one.subject, one.facts["times"]) for one in due] == [("a", 1), ("b", 2)]
    folding.add(event(subject="c"))
    folding.add(event(subject="c"))
    assert [one.facts["times"] for one in folding.close()] == [1]
    assert folding.close() == []


def test_too_many_different_ones_are_said_early_and_nothing_is_lost():
    folding = Folding(seconds=60, capacity=2)
    written = [
        one for subject in "aabbccdd" for one in folding.add(event(subject=subject))
    ] + folding.close()
    total = sum(one.facts.get("times", 1) for one in written)  # type: ignore[misc]  # numbers
    assert total == 8


def test_names_beyond_its_capacity_are_others_until_a_place_is_free():
    folding = Folding(seconds=60, capacity=2)
    said = [folding.add(event(subject=name, seconds=second)) for name, second in ODD]
    names = [[(one.subject, one.facts.get("times")) for one in events] for events in said]
    assert names == [
        [("a", None)],
        [("b", None)],
        [("others", None)],
        [],
        [("others", 1), ("d", None)],
    ]
    assert said[2][0].actor == "several"


ODD = [("a", 0), ("b", 1), ("c", 2), ("e", 3), ("d", 62)]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 90)), max_size=50))
def test_folding_never_loses_a_refusal(steps):
    folding, second, written = Folding(seconds=60, capacity=2), 0, []
    for subject, pause in steps:
        second += pause
        written += folding.due(NOON + timedelta(seconds=second))
        written += folding.add(event(subject=subject, seconds=second))
    written += folding.close()
    assert sum(int(str(one.facts.get("times", 1))) for one in written) == len(steps)
