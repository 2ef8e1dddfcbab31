"""Reads the rows out of a Message Batch's body while its pieces pass: what each can cost at most.

Theory of operation. A body may have 256 MB, so it is never looked at as a whole. ``RowCutter``
follows its brackets and strings piece by piece and cuts out each object of the top-level list;
``BatchReader`` bounds that row as a Messages call of its own, at the batch price, and forgets it.
What stays of a row is 26 bytes: a digest of its ``custom_id``, its model's number, what one pass
costs at most, and what all passes cost at most.

A row that nobody can bound is counted in ``unpriced``: no price, not readable, longer than a
Messages call may be, or beyond the number of rows that a batch takes. A body without rows, or one
that is no UTF-8, has an unpriced row, because a reader that is not ours may find some.

Rules of this file: memory is bounded by the longest row, never by the body; of a row nothing is
kept but numbers. Rules from outside (API facts, section 3): 100,000 rows, ``requests`` of
``custom_id`` and ``params``.
"""

from __future__ import annotations

import re
from array import array
from datetime import datetime
from hashlib import sha256
from typing import Final

import msgspec

from farthing.core.allowances import Allowances
from farthing.core.batch_holds import row_digest
from farthing.core.budgets_bound import CallBound
from farthing.core.estimate import BlockMemo
from farthing.core.hold import worst_case
from farthing.errors import RequestError
from farthing.pricing.catalog import Catalog
from farthing.wire.request import Request

__all__ = ["BatchReader", "BatchScan", "RowCutter"]

_LONGEST_ROW: Final = 32 * 1024 * 1024
_MOST_ROWS: Final = 100_000
_MOST_PICO: Final = (1 << 63) - 1
#: rows repeat few blocks that need weighing: images, documents
_MEMO: Final = 1_024

_STRUCTURE: Final = re.compile(rb'["{}\[\]]')
_TEXT: Final = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)
_QUOTE, _ESCAPE, _BRACE, _BRACKET = b'"\\{['
#: of the list, and of the rows in it
_LIST_DEPTH, _ROW_DEPTH = 2, 3


class RowCutter:
    """Cuts the objects out of the lists of an object; whatever the JSON, each byte is seen once."""

    def __init__(self, *, longest: int = _LONGEST_ROW) -> None:
        self._longest = longest
        self._depth = 0
        self._is_in_list = False
        self._is_in_text = False
        #: an escape whose second byte has not come
        self._rest = b""
        #: the row that has begun: its pieces; None: none has
        self._parts: list[bytes] | None = None
        self._size = 0

    def feed(self, piece: bytes) -> list[bytes | None]:
        """The rows that end in this piece; None for one that is too long."""
        piece, self._rest = self._rest + piece, b""
        found: list[bytes | None] = []
        at, start = 0, 0
        while at < len(piece):
            if self._is_in_text:
                at = self._through_text(piece, at)
                continue
            match = _STRUCTURE.search(piece, at)
            if match is None:
                break
            at, byte = match.end(), piece[match.start()]
            if byte == _QUOTE:
                self._is_in_text = True
            elif byte in {_BRACE, _BRACKET}:
                if self._opens(byte):
                    start = match.start()
            elif self._closes():
                self._keep(piece[start:at])
                found.append(self._row())
        if self._parts is not None:
            self._keep(piece[start : len(piece) - len(self._rest)])
        return found

    def _through_text(self, piece: bytes, at: int) -> int:
        """Behind the end of a string, or of the piece."""
        match = _TEXT.match(piece, at)
        at = len(piece) if match is None else match.end()
        if at == len(piece):
            return at
        if piece[at] == _ESCAPE:
            self._rest = piece[at:]
            return len(piece)
        self._is_in_text = False
        return at + 1

    def _opens(self, byte: int) -> bool:
        """Go one level down: does a row begin here?"""
        self._depth += 1
        if self._depth == _LIST_DEPTH:
            self._is_in_list = byte == _BRACKET
        if self._depth != _ROW_DEPTH or not self._is_in_list or byte != _BRACE:
            return False
        self._parts, self._size = [], 0
        return True

    def _closes(self) -> bool:
        """Go one level up: does a row end here?"""
        self._depth -= 1
        return self._depth == _LIST_DEPTH and self._parts is not None

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._parts is not None and self._size <= self._longest:
            self._parts.append(part)

    def _row(self) -> bytes | None:
        parts, self._parts = self._parts, None
        return None if parts is None or self._size > self._longest else b"".join(parts)


class _Row(msgspec.Struct, frozen=True):
    custom_id: str
    params: msgspec.Raw


_decoder: Final = msgspec.json.Decoder(_Row)


class BatchScan:
    """The rows of one batch, sorted by digest; amounts are in 10⁻¹² USD at the batch price."""

    __slots__ = (
        "body_sha256",
        "digests",
        "has_several",
        "model_of",
        "models",
        "one_pass",
        "passes",
        "totals",
        "unpriced",
    )

    def __init__(self) -> None:
        #: the models that rows ask for, as they write them
        self.models: list[str] = []
        self.digests = array("Q")
        #: by row, a place in ``models``
        self.model_of = array("H")
        self.one_pass = array("q")
        #: all passes that there can be
        self.passes = array("q")
        #: by model, the sum of ``one_pass``
        self.totals: list[int] = []
        #: may one answer take several passes over its prompt
        self.has_several = False
        #: rows that nothing bounds
        self.unpriced = 0
        #: of the whole body
        self.body_sha256 = b""

    def __len__(self) -> int:
        return len(self.digests)

    def __repr__(self) -> str:
        return f"<BatchScan {len(self)} rows, {self.unpriced} unpriced>"


class BatchReader:
    """Bounds rows as they pass; ``prices``, ``now`` and ``allowances`` as for any call.

    Of a body that is compressed (not ``is_plain``) the rows are not those that its bytes show.
    """

    def __init__(
        self, prices: Catalog, now: datetime, allowances: Allowances, *, is_plain: bool = True
    ) -> None:
        self._is_plain = is_plain
        self._hash = sha256()
        self._prices = prices
        self._now = now
        self._allowances = allowances
        self._cutter = RowCutter()
        # its own: this may run beside the exchanges, on another thread
        self._memo = BlockMemo(_MEMO)
        self._numbers: dict[str, int] = {}
        self._scan = BatchScan()

    def feed(self, piece: bytes) -> None:
        """Look at a piece cut anywhere."""
        self._hash.update(piece)
        if not self._is_plain:
            return
        if b"\0" in piece:  # JSON has none, but in UTF-16 and UTF-32, where other rows may stand
            self._scan.unpriced += 1
        for row in self._cutter.feed(piece):
            if row is None or len(self._scan) >= _MOST_ROWS or not self._take(row):
                self._scan.unpriced += 1

    def finish(self) -> BatchScan:
        """The rows."""
        scan = self._scan
        scan.body_sha256 = self._hash.digest()
        if not len(scan) and not scan.unpriced:
            scan.unpriced = 1
        order = sorted(range(len(scan)), key=scan.digests.__getitem__)
        for name in ("digests", "model_of", "one_pass", "passes"):
            values = getattr(scan, name)
            setattr(scan, name, array(values.typecode, map(values.__getitem__, order)))
        return scan

    def _take(self, raw: bytes) -> bool:
        """Note what a row can cost; False where nothing bounds it."""
        try:
            row = _decoder.decode(raw)
            request = Request.parse(bytes(row.params))
            worst = worst_case(
                request,
                prices=self._prices,
                memo=self._memo,
                now=self._now,
                allowances=self._allowances,
            )
        except (RequestError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        if worst is None or worst.card.batch is None:
            return False
        share = worst.card.batch
        bound = CallBound.of(request, worst, None, client_bytes=len(request.body))
        one = _part(bound.one_pass_pico, share.numerator, share.denominator)
        several = one
        if not worst.is_single_pass:
            several = max(one, _part(worst.high_pico, share.numerator, share.denominator))
        self._add(row.custom_id, request.model or "", one, several)
        return True

    def _add(self, custom_id: str, model: str, one: int, several: int) -> None:
        scan = self._scan
        number = self._numbers.setdefault(model, len(self._numbers))
        if number == len(scan.models):
            scan.models.append(model)
            scan.totals.append(0)
        scan.totals[number] += one
        scan.digests.append(row_digest(custom_id))
        scan.model_of.append(number)
        scan.one_pass.append(one)
        scan.passes.append(several)
        scan.has_several |= several != one


def _part(amount: int, numerator: int, denominator: int) -> int:
    """A part of an amount, rounded up; what does not fit into 63 bits is more than anybody has."""
    return min(_MOST_PICO, -(-amount * numerator // denominator))
