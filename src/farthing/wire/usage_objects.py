"""Usage as Python programs hold it: an SDK message, its usage, or the same as plain dicts.

Absent and None are zero, fields we do not know are left alone, and anything without a single count
is refused: an object that is no usage must not be priced at $0.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from farthing.wire.usage import ReportedUsage, Usage

__all__ = ["member_of", "usage_of"]

#: one of these makes an object a usage
_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
)


def usage_of(response: object) -> Usage:
    """The disjoint counts of an SDK message, a dict of one, or the usage of either.

    >>> usage_of({"usage": {"input_tokens": 3, "cache_read_input_tokens": None}}).prompt
    3
    """
    if isinstance(response, Usage):
        return response
    nested = member_of(response, "usage")
    found = response if nested is None else nested
    if isinstance(found, Usage):
        return found
    if all(member_of(found, name) is None for name in _COUNTS):
        raise TypeError(
            f"{type(response).__name__} carries no usage: pass the message that the SDK returned, "
            "its `usage`, or a dict of either"
        )
    try:
        return msgspec.convert(found, ReportedUsage, from_attributes=True).total()
    except msgspec.ValidationError as error:
        raise ValueError(f"this usage cannot be counted: {error}") from None


def member_of(value: object, name: str) -> object:
    """A dict's item or an object's attribute; None where it has none."""
    if isinstance(value, Mapping):
        return value.get(name)
    return getattr(value, name, None)
