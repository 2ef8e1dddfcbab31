"""A readable copy of a compressed body, whatever the borders of its chunks."""

from __future__ import annotations

import gzip
import random
import zlib

import brotli  # type: ignore[import-untyped]  # it ships no types
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from farthing.transport.decoding import AT_ONCE_BYTES, decoder_for

TEXT = b'{"usage":{"input_tokens":12}}' * 50


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


FOLDED = {
    "gzip": gzip.compress(TEXT),
    "x-gzip": gzip.compress(TEXT),
    "deflate": zlib.compress(TEXT),
    "br": brotli.compress(TEXT),
    "zstd": zstandard.ZstdCompressor().compress(TEXT),
}


@pytest.mark.parametrize("coding", FOLDED)
@given(size=st.integers(1, 200))
def test_a_body_unfolds_however_it_is_cut(coding, size):
    decoder, folded = decoder_for(coding), FOLDED[coding]
    assert decoder is not None

    chunks = [folded[at : at + size] for at in range(0, len(folded), size)]

    assert b"".join(decoder.decode(chunk) for chunk in chunks) == TEXT


def test_deflate_without_its_envelope_is_understood():
    decoder = decoder_for("deflate")
    assert decoder is not None

    assert decoder.decode(raw_deflate(TEXT)) == TEXT


def test_several_gzip_members_are_one_body():
    decoder = decoder_for("gzip")
    assert decoder is not None

    assert decoder.decode(gzip.compress(b"one ") + gzip.compress(b"two")) == b"one two"


def test_several_zstd_frames_are_one_body():
    decoder, pack = decoder_for("zstd"), zstandard.ZstdCompressor().compress
    assert decoder is not None

    folded = pack(b"one ") + pack(b"two")
    assert b"".join(decoder.decode(folded[at : at + 5]) for at in range(0, len(folded), 5)) == (
        b"one two"
    )


@pytest.mark.parametrize("coding", ["compress", "aes128gcm", "gzip, br"])
def test_there_is_no_decoder_for_what_is_not_known(coding):
    assert decoder_for(coding) is None


@pytest.mark.parametrize("coding", FOLDED)
def test_what_is_no_such_coding_is_a_value_error(coding):
    decoder = decoder_for(coding)
    assert decoder is not None

    with pytest.raises(ValueError, match="is not valid"):
        decoder.decode(b"this is plain text, not compressed at all")


def folded_zeros(coding: str, size: int) -> bytes:
    """Zeros, folded a MB at a time."""
    packer = {
        "gzip": lambda: zlib.compressobj(wbits=16 + zlib.MAX_WBITS),
        "br": lambda: brotli.Compressor(quality=2),
        "zstd": lambda: zstandard.ZstdCompressor().compressobj(),
    }[coding]()
    add = packer.process if coding == "br" else packer.compress
    end = packer.finish if coding == "br" else packer.flush
    return b"".join([*(add(bytes(1 << 20)) for _ in range(size >> 20)), end()])


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
@pytest.mark.parametrize("piece", [1 << 30, 40])
def test_a_bomb_stops_at_the_limit(coding, piece):
    decoder, folded = decoder_for(coding), folded_zeros(coding, 2 * AT_ONCE_BYTES)
    assert decoder is not None
    seen: list[int] = []

    with pytest.raises(ValueError, match="more than it may"):
        seen.extend(
            len(decoder.decode(folded[at : at + piece])) for at in range(0, len(folded), piece)
        )

    assert sum(seen) <= AT_ONCE_BYTES + 100 * len(folded)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_what_is_not_beyond_the_limit_is_read(coding):
    decoder, folded = decoder_for(coding), folded_zeros(coding, AT_ONCE_BYTES)
    assert decoder is not None

    assert len(decoder.decode(folded)) == AT_ONCE_BYTES


def test_many_members_of_one_gzip_body_are_counted_together():
    decoder = decoder_for("gzip")
    assert decoder is not None

    with pytest.raises(ValueError, match="more than it may"):
        decoder.decode(gzip.compress(bytes(AT_ONCE_BYTES // 2)) * 3)


def test_a_long_answer_may_unfold_to_more_than_that():
    decoder, folded, seen = decoder_for("gzip"), gzip.compress(random_hex(1 << 20)), 0
    assert decoder is not None

    for _ in range(AT_ONCE_BYTES // (2 << 20) + 1):
        seen += len(decoder.decode(folded))

    assert seen > AT_ONCE_BYTES


def random_hex(size: int) -> bytes:
    return random.Random(7).randbytes(size).hex().encode()
