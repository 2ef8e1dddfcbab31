"""What changes by itself is taken out, and nothing else."""

from __future__ import annotations

from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core.loop_texts import differ_early, normalise, simhash

#: words of which each is something else to its neighbours
WORDS = (
    "a pid 17 18 17, (3) #4 seconds s. ms) 0x3f#pid run: attempt= 1763719200 1763719201 5.5s"
    " 10:00:01 retry#3 req_aaaaaaaa \u00b5s \u0663 2026-11-21T10:00:00Z deadbeef1 pid=3 call("
).split()
SENTENCES = st.lists(st.sampled_from(WORDS), max_size=7)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("at 2026-11-21T10:00:00Z ok", "at 2026-11-22T11:30:07.123+01:00 ok"),
        ("10:00:00 ok", "11:30:07.5 ok"),
        ("took 1.53s", "took 12.9s"),
        ("in 4.2 seconds.", "in 17 seconds."),
        ("id 123e4567-e89b-12d3-a456-426614174000", "id 00000000-e89b-12d3-a456-426614174fff"),
        ("pid=17 up", "pid=4242 up"),
        ("pid 17 up", "pid 4242 up"),
        ("attempt #3 of 9", "attempt #4 of 9"),
        ("at 0x7ffde0", "at 0x7ffaa1"),
        ("commit 9fceb02d0ae5", "commit 1a2b3c4d5e6f"),
        ("req_011CWv5uE2b3 failed", "req_9999Wv5uE2b3 failed"),
        ("now 1763719200", "now 1763719999"),
        ("a  b\nc", "a b c"),
    ],
)
def test_what_changes_by_itself_is_taken_out(one, other):
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("12 failed", "11 failed"),
        ("page 3 of rows", "page 4 of rows"),
        ("progress 30%", "progress 40%"),
        ("line 7: x", "line 8: x"),
        ("deadline", "dead line"),
        ("price 1234567", "price 1234568"),
    ],
)
def test_what_may_be_progress_stays(one, other):
    assert normalise(one) != normalise(other)


@given(st.text(max_size=80))
def test_white_space_is_one_space(text):
    assert normalise(text) == normalise(" \n".join(text.split()))
    assert "  " not in normalise(text)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("pid 17 seconds", "pid # seconds"),
        ("0x3f#pid 17", "##pid #"),
        ("17 17 s", "17 # s"),
        ("1763719200 1763719200. 17", "# #. 17"),
        ("attempt= 4 of 9", "attempt= # of 9"),
        ("", ""),
    ],
)
def test_a_word_is_read_with_the_two_beside_it(text, normal):
    assert normalise(text) == normal


def joined(words: list[str], more: list[str], cut: int) -> tuple[str, str]:
    """A text, and so much of its beginning."""
    text = " ".join([*words, *more])
    return text, text[:cut]


@given(SENTENCES, SENTENCES, st.lists(st.integers(0, 6), max_size=2), st.integers(0, 80))
def test_texts_whose_beginnings_differ_are_not_the_same(words, others, places, cut):
    near = [
        others[place] if place in places and place < len(others) else word
        for place, word in enumerate(words)
    ]
    for other in (others, near):
        one, its_beginning = joined(words, others, cut)
        two, that_beginning = joined(other, others, cut)
        if differ_early(its_beginning, that_beginning):
            assert normalise(one) != normalise(two)


@pytest.mark.parametrize(
    ("one", "other", "is_so"),
    [
        ("a b c d e", "x b c d e", True),
        ("a b c d e", "a b c d x", False),
        ("pid 17 b c d e", "pid 18 b c d e", False),
        ("pid 17 b c d e", "page 17 b c d e", True),
        ("17 17 s c d e", "17 18 s c d e", False),
        ("17 17 s c d e", "17 17 f c d e", True),
        ("2.5s " * 20 + "a b c d e", "3.5s " * 20 + "x b c d e", False),
        ("2.5s " * 15 + "a b c d e", "3.5s " * 15 + "x b c d e", True),
        ("", "a b c d e", False),
    ],
)
def test_texts_part_where_they_differ_by_more_than_what_changes_by_itself(one, other, is_so):
    assert differ_early(one, other) is is_so


@given(st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), max_size=30))
def test_the_simhash_is_the_majority_of_the_words_digests(words):
    text = " ".join(words)
    digests = [
        int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "big")
        for word in (set(words) or {text})
    ]
    expected = sum(
        1 << bit
        for bit in range(64)
        if sum(digest >> bit & 1 for digest in digests) > len(digests) // 2
    )

    assert simhash(text) == expected
