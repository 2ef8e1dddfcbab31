"""Does a flat fee pay for a call? Then its dollars are notional: what the API would have charged.

Rules from outside (Claude Code 2.1.197, read 2026-11): with a subscription's login it sends an
OAuth token, ``Authorization: Bearer sk-ant-oat…``, and ``anthropic-beta: oauth-2025-04-20``. An API
key may come as a bearer too (SDK 2.x), so the scheme alone says nothing. An organisation's workload
tokens look the same and are billed: dollars of theirs are called notional although they are not.

Rules of this file: a credential is looked at, never kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["SUBSCRIPTION_NOTE", "is_subscription"]

#: the note on each exchange of that kind
SUBSCRIPTION_NOTE: Final = "credential.subscription"

_BEARER: Final = "bearer "
_LOGIN: Final = "sk-ant-oat"
_BETA: Final = "oauth-"


def is_subscription(headers: Mapping[str, str]) -> bool:
    """Do the headers of a call carry the login of a subscription?"""
    if "x-api-key" in headers:
        return False
    credential = headers.get("authorization", "")
    if credential[: len(_BEARER)].lower() != _BEARER:
        return False
    betas = (beta.strip() for beta in headers.get("anthropic-beta", "").split(","))
    return credential[len(_BEARER) :].strip().startswith(_LOGIN) or any(
        beta.startswith(_BETA) for beta in betas
    )
