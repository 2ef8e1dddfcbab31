"""What becomes of a request before it is sent: the body, and why it is what it is.

Codes of accepted levers begin with ``+``, of observed ones with ``~``, of declined ones with ``-``.
"""

from __future__ import annotations

import msgspec

from farthing.core.fanout import FanoutAsk

__all__ = ["Plan"]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The body to send and what was decided about it."""

    body: bytes
    reasons: tuple[str, ...] = ()
    #: what it writes and reads, where it may wait for others
    fanout: FanoutAsk | None = None

    @property
    def is_empty(self) -> bool:
        """Was no lever accepted? Then the body is the client's."""
        return not self.reasons or not any(reason.startswith("+") for reason in self.reasons)
