"""The policy in force, from the settings and the file that they name."""

from __future__ import annotations

from pathlib import Path

from farthing.config import Settings
from farthing.core.policy import Policy, parse_policy, policy_of
from farthing.errors import ConfigError

__all__ = ["load_policy"]


def load_policy(settings: Settings) -> Policy:
    """The rules; ``ConfigError`` where the file cannot be read or names what does not exist."""
    base = policy_of(settings.profile, on=settings.levers_on, off=settings.levers_off)
    if settings.policy is None:
        return base
    path = Path(settings.policy)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the policy {str(path)!r}: {error.strerror}") from error
    return parse_policy(raw, str(path), base=base)
