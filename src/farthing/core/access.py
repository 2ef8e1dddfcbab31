"""Who may do what: keys are recognised here, and those who guess are slowed down.

Theory of operation. ``KeyRing`` holds all keys of one moment and finds the one that a text is. It
does the same work whether the id is known or not, and says why it refuses only to whoever has the
right secret: an unknown id and a wrong secret look alike.

``FailureLimit`` counts failures per source, a bucket that fills again slowly. A source whose bucket
is empty gets no further answers, except with keys that it has used before: colleagues behind one
address are not locked out by the one who guesses. Memory is bounded whatever is sent; the source
that was quiet longest is forgotten first.

Rules of this file: no clock; ``now`` is an argument. No text of a key is kept, here or anywhere.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal

from farthing.core.keys import KeySecret, VirtualKey, digest_of, split_key

__all__ = ["Denial", "FailureLimit", "KeyRing"]

#: why a text opens nothing
Denial = Literal["missing", "unknown", "expired", "revoked"]

#: at most: the present secret and the one rotated away
_SECRETS: Final = 2
_NOBODY: Final = KeySecret(salt=b"\0" * 16, digest=b"\0" * 32)
_NO_SECRET: Final = b"-" * 43
_SECOND: Final = 10**9
_HOUR: Final = 3600 * _SECOND


class KeyRing:
    """All keys of one moment."""

    def __init__(self, keys: Iterable[VirtualKey] = ()) -> None:
        self._keys = {key.key_id: key for key in keys}

    def __repr__(self) -> str:
        return f"<KeyRing of {len(self._keys)}>"

    @property
    def is_empty(self) -> bool:
        """Was no key ever made? One that is revoked or expired still counts."""
        return not self._keys

    def find(self, text: str | None, now: datetime) -> VirtualKey | Denial:
        """The key that a text is, or why it is none."""
        if text is None:
            return "missing"
        key_id, secret = split_key(text) or ("", _NO_SECRET)
        key = self._keys.get(key_id)
        known = () if key is None else key.secrets[:_SECRETS]
        is_right = False
        for one in (*known, *[_NOBODY] * (_SECRETS - len(known))):
            is_same = hmac.compare_digest(digest_of(secret, one.salt), one.digest)
            is_right |= is_same and (one.until is None or now < one.until)
        if key is None or not is_right:
            return "unknown"
        state = key.state_at(now)
        return key if state == "active" else state


class FailureLimit:
    """How often each source has failed of late."""

    def __init__(self, *, burst: int = 20, pause_seconds: float = 3.0, sources: int = 4096) -> None:
        self._burst = burst
        self._pause_ns = int(pause_seconds * _SECOND)
        self._most = sources
        #: source → when its bucket will be full again
        self._full_at: OrderedDict[str, int] = OrderedDict()
        #: (source, key id) → when it was last accepted
        self._accepted: OrderedDict[tuple[str, str], int] = OrderedDict()

    @property
    def remembered(self) -> int:
        """How many entries it holds."""
        return len(self._full_at) + len(self._accepted)

    def is_blocked(self, source: str, now_ns: int) -> bool:
        """Has this source failed too often?"""
        missing_ns = self._full_at.get(source, now_ns) - now_ns
        return missing_ns > (self._burst - 1) * self._pause_ns

    def failed(self, source: str, now_ns: int) -> None:
        """It has failed once more."""
        before = max(self._full_at.pop(source, now_ns), now_ns)
        fullest = now_ns + self._burst * self._pause_ns
        self._full_at[source] = min(before + self._pause_ns, fullest)
        if len(self._full_at) > self._most:
            self._full_at.popitem(last=False)

    def accepted(self, source: str, key_id: str, now_ns: int) -> None:
        """It has shown a key that is right."""
        self._accepted[source, key_id] = now_ns
        self._accepted.move_to_end((source, key_id))
        if len(self._accepted) > self._most:
            self._accepted.popitem(last=False)

    def is_known(self, source: str, key_id: str, now_ns: int) -> bool:
        """Has it shown this key within the last hour?"""
        last = self._accepted.get((source, key_id))
        return last is not None and now_ns - last < _HOUR
