"""What surrounds a body in one call: who asks, under which version and betas, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

__all__ = ["Account", "Call"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The owner of a key: prompt cache, threads and batches are isolated by workspace."""

    organization: str
    workspace: str
    key_id: str
    admin: bool = False
    created_at: datetime = datetime(2026, 10, 1, tzinfo=UTC)

    @property
    def scope(self) -> str:
        """What isolates the prompt cache on the Claude API since 2026-02-05 (section 2.7)."""
        return f"{self.organization}/{self.workspace}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of the Messages family, without its body."""

    account: Account
    now: float
    request_id: str
    version: str = "2023-06-01"
    betas: frozenset[str] = frozenset()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    batch: bool = False

    @property
    def at(self) -> datetime:
        """The instant of the call."""
        return datetime.fromtimestamp(self.now, UTC)

    def has_beta(self, *names: str) -> bool:
        """Whether one of the beta headers is present."""
        return any(name in self.betas for name in names)
