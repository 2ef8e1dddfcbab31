import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core.estimate_text import CLASSES, count_classes

#: the same quantities, said a second way: one regular expression per class
PATTERNS = {
    "lower": r"[a-z]",
    "upper": r"[A-Z]",
    "camel": r"(?<=[a-z])[A-Z]",
    "word": r"[A-Za-z]+",
    "digit": r"[0-9]",
    "digit_run": r"[0-9]+",
    "space_run": r" {2,}",
    "newline": r"\n",
    "tab": r"\t",
    "punct": r"[\x00-\x08\x0b\x0c\x0e-\x1f!-/:-@\[-`{-\x7f]",
    "punct_run": r"[\x00-\x08\x0b\x0c\x0e-\x1f!-/:-@\[-`{-\x7f]+",
    "symbol": r"[\u0080-\u00bf\u2000-\u2fff]",
    "two_byte": r"[\u00c0-\u07ff]",
    "three_byte": r"[\u0800-\u1fff\u3000-\uffff]",
    "four_byte": r"[\U00010000-\U0010ffff]",
}


def counted(text: str) -> dict[str, int]:
    return dict(zip(CLASSES, count_classes(text.encode()), strict=True))


@given(st.text() | st.text(alphabet="aB7 \n\t.é→中😀", max_size=60))
def test_counts_equal_those_of_regular_expressions(text):
    assert counted(text) == {name: len(re.findall(p, text)) for name, p in PATTERNS.items()}


@pytest.mark.parametrize(
    ("text", "name", "count"),
    [
        ("", "word", 0),
        ("parseHTTPBody", "camel", 1),
        ("parse2Body", "word", 2),
        ("a  b", "space_run", 1),
        ("a b", "space_run", 0),
        ("    x", "space_run", 1),
        ("x    ", "space_run", 1),
        ("== !=", "punct_run", 2),
        ("2026-11-20", "digit_run", 3),
        ("\r\n", "newline", 1),
        ("naïve", "two_byte", 1),
        ("中文", "three_byte", 2),
    ],
)
def test_a_class_is_counted(text, name, count):
    assert counted(text)[name] == count


@given(st.text(), st.text())
def test_counts_add_up_over_lines(first, second):
    apart = zip(count_classes(first.encode()), count_classes(second.encode()), strict=True)
    joined = counted(f"{first}\r{second}")  # a carriage return belongs to no class

    assert tuple(joined.values()) == tuple(a + b for a, b in apart)
