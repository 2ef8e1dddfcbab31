"""The journal's chain: each entry seals the one before it, so that none can be changed unseen.

Theory of operation. An event becomes canonical JSON, one spelling per event. Its digest is an HMAC
over its number, the digest before it and that text; the first one continues a fixed origin. The
*head* says how many entries there are and how the last one ends, with a seal of its own, because a
chain alone does not notice that its tail is missing.

Why an HMAC: whoever can write the file could compute a plain hash chain anew from the entry they
changed. With the installation's key, which lies beside the ledger in a file of its own, they need
that file as well. So:

- noticed: every entry edited, inserted, removed, reordered, and a tail cut off, by somebody who can
  write the ledger and not read the key;
- not noticed without help: the whole ledger put back to an older copy of itself, head included, or
  erased. A head noted elsewhere shows it: ``verify`` compares with one;
- not noticed: anything by somebody who has the key file and the ledger.

Rules of this file: no clock, no storage. Facts are short and flat, and what looks like a key is
masked before it is sealed, because nothing can be taken out of here later.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, get_args

import msgspec

from farthing.core.masking import masked
from farthing.errors import LedgerError

__all__ = [
    "KINDS",
    "Entry",
    "Fact",
    "Finding",
    "Head",
    "JournalEvent",
    "JournalKind",
    "Verification",
    "appended",
    "dump_event",
    "journal_event",
    "journal_key",
    "parse_event",
    "seal_of",
    "verify_chain",
]

JournalKind = Literal[
    "policy.changed",
    "budget.changed",
    "budget.raised",
    "call.refused",
    "key.created",
    "key.rotated",
    "key.revoked",
    "governor.switched",
    "request.degraded",
    "request.rewritten",
    "loop.stopped",
    "breaker.opened",
    "breaker.closed",
    "alert.undelivered",
]
KINDS: Final = frozenset(get_args(JournalKind))
Fact = str | int | bool | None

_MOST_FACTS: Final = 32
_PURPOSE: Final = b"farthing journal 1"


class JournalEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was decided or done, and by whom; made by ``journal_event``."""

    at: datetime
    kind: str
    #: who: ``operator``, ``engine``, the digest of a key; never a key
    actor: str
    #: about what: a budget, a key's id, a model, a task
    subject: str
    facts: dict[str, Fact] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event as it rests."""

    number: int
    event: bytes
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The end of the chain."""

    count: int
    digest: bytes

    def __str__(self) -> str:
        return f"{self.count}:{self.digest.hex()}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """What ``str`` wrote; ``ValueError`` for anything else."""
        count, _, digest = text.partition(":")
        if len(digest) != 2 * hashlib.sha256().digest_size:
            raise ValueError("a head is COUNT:DIGEST, as `farthing journal verify` prints it")
        return cls(count=int(count), digest=bytes.fromhex(digest))


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something is not as it was written; ``number``: from which entry on."""

    number: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """How the chain stands."""

    #: of what is there, right or wrong
    head: Head
    findings: tuple[Finding, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Is every entry as it was written, and none missing?"""
        return not self.findings


def journal_key(install_key: bytes) -> bytes:
    """The journal's own key, from the installation's."""
    return hmac.digest(install_key, _PURPOSE, hashlib.sha256)


def journal_event(
    kind: JournalKind,
    at: datetime,
    *,
    actor: str,
    subject: str,
    facts: Mapping[str, Fact] | None = None,
) -> JournalEvent:
    """An event with short facts and no key in them."""
    found = list((facts or {}).items())[:_MOST_FACTS]
    return JournalEvent(
        at=at,
        kind=kind,
        actor=masked(actor),
        subject=masked(subject),
        facts={
            masked(name): masked(fact) if isinstance(fact, str) else fact for name, fact in found
        },
    )


def dump_event(event: JournalEvent) -> bytes:
    """The one spelling of an event."""
    return msgspec.json.encode(event, order="sorted")


def parse_event(raw: bytes) -> JournalEvent:
    """What ``dump_event`` wrote; ``LedgerError`` for anything else."""
    try:
        return msgspec.json.decode(raw, type=JournalEvent)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LedgerError(f"an entry of the journal cannot be read: {error}") from None


def appended(key: bytes, head: Head | None, event: bytes) -> tuple[Entry, Head]:
    """The next entry, and the head after it; None: there is none yet."""
    before = _origin(key) if head is None else head
    number = before.count + 1
    digest = _digest(key, number, before.digest, event)
    return Entry(number=number, event=event, digest=digest), Head(count=number, digest=digest)


def seal_of(key: bytes, head: Head) -> bytes:
    """What shows that a head was written by us."""
    return hmac.digest(key, f"head {head}".encode(), hashlib.sha256)


def verify_chain(
    key: bytes,
    entries: Iterable[Entry],
    *,
    head: Head | None,
    seal: bytes | None,
    noted: Head | None = None,
) -> Verification:
    """Everything from the origin to the head; ``noted``: a head that was true once."""
    at, findings = _origin(key), list[Finding]()
    met = noted is None or noted.count == 0
    for entry in entries:
        if entry.number != at.count + 1:
            text = f"entry {at.count + 1} is missing" if entry.number > at.count else "out of order"
            findings.append(Finding(number=at.count + 1, text=text))
        wanted = _digest(key, entry.number, at.digest, entry.event)
        if not hmac.compare_digest(wanted, entry.digest):
            text = "it, or what stood before it, was changed"
            findings.append(Finding(number=entry.number, text=text))
        at = Head(count=entry.number, digest=entry.digest)
        met = met or at == noted
    findings += _about_the_end(key, at, head, seal)
    if not met:
        findings.append(Finding(number=at.count, text="the head that was noted is not in it"))
    return Verification(head=at, findings=tuple(findings))


def _about_the_end(
    key: bytes, found: Head, head: Head | None, seal: bytes | None
) -> Iterable[Finding]:
    if head is None or seal is None:
        if found.count:
            yield Finding(number=found.count, text="the head is missing")
        return
    if not hmac.compare_digest(seal_of(key, head), seal):
        yield Finding(number=head.count, text="the head was changed, or the key is another one")
    if head != found:
        text = f"the head says {head.count} entries, there are {found.count}"
        if head.count == found.count:
            text = "the last entry is not the one that the head names"
        yield Finding(number=min(head.count, found.count) + 1, text=text)


def _origin(key: bytes) -> Head:
    return Head(count=0, digest=hmac.digest(key, b"origin", hashlib.sha256))


def _digest(key: bytes, number: int, before: bytes, event: bytes) -> bytes:
    return hmac.digest(key, b"%d\n%b\n%b" % (number, before, event), hashlib.sha256)
