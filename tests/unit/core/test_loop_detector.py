"""The detector fires on the call that completes the last copy, and on no other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core.loop_detector import LoopDetector, LoopMatch


def fired(signatures: str, **limits: int) -> list[tuple[int, str, int]]:
    """Step (from 1), cycle and repeats of each match."""
    detector = LoopDetector(**limits)
    matches = [(step, detector.record(sig)) for step, sig in enumerate(signatures, start=1)]
    return [(step, "".join(map(str, m.cycle)), m.repeats) for step, m in matches if m is not None]


def by_brute_force(seen: str, repeats: int, max_cycle_len: int) -> LoopMatch | None:
    for length in range(1, max_cycle_len + 1):
        cycle = seen[-length:]
        if len(cycle) == length and seen.endswith(cycle * repeats):
            copies = repeats
            while seen.endswith(cycle * (copies + 1)):
                copies += 1
            return LoopMatch(cycle=tuple(cycle), repeats=copies)
    return None


@given(st.text("abc", max_size=40), st.integers(2, 4), st.integers(1, 5))
def test_the_running_counts_agree_with_looking_at_everything(signatures, repeats, max_cycle_len):
    detector = LoopDetector(repeats=repeats, max_cycle_len=max_cycle_len)

    for end, sig in enumerate(signatures, start=1):
        expected = by_brute_force(signatures[:end], repeats, max_cycle_len)
        assert detector.record(sig) == expected


@pytest.mark.parametrize(
    ("signatures", "matches"),
    [
        ("aa", []),
        ("aaa", [(3, "a", 3)]),
        ("aaaa", [(3, "a", 3), (4, "a", 4)]),
        ("ababa", []),
        ("ababab", [(6, "ab", 3)]),
        ("abababa", [(6, "ab", 3), (7, "ba", 3)]),
        ("abcabcab", []),
        ("abcabcabc", [(9, "abc", 3)]),
        ("abcdabcdabcd", []),
        ("xaaabaaa", [(4, "a", 3), (8, "a", 3)]),
        ("aabaab", []),
        ("aabaabaab", [(9, "aab", 3)]),
    ],
)
def test_three_copies_of_up_to_three_calls_by_default(signatures, matches):
    assert fired(signatures) == matches


@pytest.mark.parametrize(("repeats", "step"), [(2, 2), (5, 5)])
def test_the_number_of_copies_is_the_callers(repeats, step):
    assert fired("aaaaaa", repeats=repeats)[0] == (step, "a", repeats)


@pytest.mark.parametrize(("limit", "matches"), [(1, []), (2, [(6, "ab", 3)])])
def test_longer_cycles_than_the_limit_are_not_looked_for(limit, matches):
    assert fired("ababab", max_cycle_len=limit) == matches


def test_a_reset_forgets_all_calls():
    detector = LoopDetector()
    detector.record("a")
    detector.record("a")
    detector.reset()

    assert detector.record("a") is None


def test_what_is_remembered_does_not_grow():
    detector = LoopDetector(max_cycle_len=4)
    for step in range(1000):
        detector.record(step)

    assert len(detector._latest) == 4


@pytest.mark.parametrize("wrong", [{"repeats": 1}, {"max_cycle_len": 0}])
def test_a_loop_of_less_than_two_copies_or_one_call_is_refused(wrong):
    with pytest.raises(ValueError, match="at least"):
        LoopDetector(**wrong)


def test_a_signature_that_could_change_is_refused():
    with pytest.raises(TypeError, match="unhashable"):
        LoopDetector().record(["read_file", "a.py"])  # type: ignore[arg-type]  # what is tested
