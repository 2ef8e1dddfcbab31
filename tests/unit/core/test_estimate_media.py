import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core.estimate_media import (
    Size,
    estimate_document,
    estimate_image,
    image_tokens,
    read_image_size,
)
from farthing.wire.models import ModelTraits

STANDARD = (1568, 1568)
HIGH = (2576, 4784)
TRAITS = ModelTraits(id="claude-test", image_limits=STANDARD)


def png(width: int, height: int) -> bytes:
    return (
        b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" + struct.pack(">II", width, height) + b"\x08"
    )


def jpeg(width: int, height: int, *, before: bytes = b"") -> bytes:
    frame = b"\xff\xc2\x00\x11\x08" + struct.pack(">HH", height, width) + b"\x03"
    return b"\xff\xd8" + before + frame


def webp(kind: bytes, payload: bytes) -> bytes:
    return (b"RIFF\x00\x00\x00\x00WEBP" + kind + b"\x00\x00\x00\x00" + payload).ljust(30, b"\x00")


def text_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


# Section 5 of the API facts: the documentation's own examples.
@pytest.mark.parametrize(
    ("size", "limits", "tokens"),
    [
        (Size(1000, 1000), STANDARD, 1296),
        (Size(1000, 1000), HIGH, 1296),
        (Size(1920, 1080), STANDARD, 1560),
        (Size(1920, 1080), HIGH, 2691),
        (Size(3840, 2160), STANDARD, 1560),
        (Size(3840, 2160), HIGH, 4784),
        (Size(1, 1), STANDARD, 1),
        (Size(28, 28), STANDARD, 1),
        (Size(29, 28), STANDARD, 2),
        (Size(1568, 28), STANDARD, 56),
        (Size(1569, 28), STANDARD, 56),
        (Size(1, 8000), STANDARD, 56),
        (Size(0, 0), STANDARD, 1),
    ],
)
def test_an_image_costs_its_padded_cells(size, limits, tokens):
    assert image_tokens(size, limits) == tokens


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.sampled_from([STANDARD, HIGH]))
def test_an_image_never_costs_more_than_its_tier(width, height, limits):
    assert 1 <= image_tokens(Size(width, height), limits) <= limits[1]


@given(st.integers(1, 5_000), st.integers(1, 5_000))
def test_turning_an_image_changes_nothing(width, height):
    assert image_tokens(Size(width, height), HIGH) == image_tokens(Size(height, width), HIGH)


@pytest.mark.parametrize(
    "head",
    [
        png(300, 200),
        b"GIF89a" + struct.pack("<HH", 300, 200),
        b"GIF87a" + struct.pack("<HH", 300, 200),
        jpeg(300, 200),
        jpeg(300, 200, before=b"\xff\xe1\x00\x06\xff\xc0ab"),
        jpeg(300, 200, before=b"\xff"),
        webp(b"VP8X", b"\x00" * 4 + (299).to_bytes(3, "little") + (199).to_bytes(3, "little")),
        webp(b"VP8L", b"\x2f" + (299 | 199 << 14).to_bytes(4, "little")),
        webp(b"VP8 ", b"\x00\x00\x00\x9d\x01\x2a" + struct.pack("<HH", 300, 200)),
    ],
)
def test_every_format_tells_its_size(head):
    assert read_image_size(head) == Size(300, 200)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"BM not an accepted format",
        png(300, 200)[:23],
        png(0, 200),
        b"GIF89a\x01",
        webp(b"ALPH", b""),
        b"RIFF\x00\x00\x00\x00WAVE".ljust(30, b"\x00"),
        b"\xff\xd8\x00\x00" + bytes(20),
        b"\xff\xd8\xff\xe0\xff\xff" + bytes(20),
    ],
)
def test_an_unreadable_header_tells_nothing(head):
    assert read_image_size(head) is None


@given(st.binary(max_size=64), st.sampled_from([b"", b"\xff\xd8", b"RIFF", b"\x89PNG\r\n\x1a\n"]))
def test_any_bytes_are_survived(tail, magic):
    size = read_image_size(magic + tail)

    assert size is None or min(size) >= 1


def test_an_image_in_the_request_is_estimated_exactly():
    assert estimate_image(text_of(png(1000, 1000)), TRAITS) == (1296, 1296)


@pytest.mark.parametrize("data", [None, "", "@@@@", "abc", "é" * 8])
def test_an_image_that_cannot_be_read_counts_as_the_largest(data):
    assert estimate_image(data, TRAITS) == (1568, 1568)


def test_a_pdf_costs_text_and_an_image_per_page():
    pdf = b"%PDF-1.7" + b"<< /Type /Page >>".ljust(200) * 3 + b"<< /Type /Pages >>"

    media = estimate_document(text_of(pdf), TRAITS)

    assert media.tokens == 3 * (2250 + 1568)


def test_a_pdf_with_compressed_page_objects_is_estimated_by_its_bytes():
    assert estimate_document(text_of(bytes(100_000)), TRAITS).tokens == 2 * (2250 + 1568)


@pytest.mark.parametrize("size", [0, 10, 5_000_000])
def test_a_document_is_never_estimated_above_its_bound(size):
    media = estimate_document(text_of(b"/Type/Page " * (size // 11)), TRAITS)

    assert 0 < media.tokens <= media.bound


def test_a_document_elsewhere_gets_an_allowance():
    media = estimate_document(None, TRAITS)

    assert (media.tokens, media.bound) == (10 * (2250 + 1568), 600 * (3000 + 1568))
