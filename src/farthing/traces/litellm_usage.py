"""The counts of a LiteLLM record in the provider's own words (see ``litellm`` for the rules)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["reported_usage"]


def reported_usage(
    record: Mapping[str, Any], metadata: Mapping[str, Any], response: Mapping[str, Any]
) -> dict[str, Any] | None:
    """A usage object as the Claude API writes it; None if the record has no counts."""
    candidates = (response.get("usage"), metadata.get("usage_object"), record)
    found = [usage for usage in candidates if isinstance(usage, Mapping)]
    for usage in found:
        if _count(usage, "input_tokens") is not None:
            return dict(usage)
    for usage in found:
        if _count(usage, "prompt_tokens") is not None:
            return _denormalised(usage, metadata)
    return None


def _denormalised(usage: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
    details = _mapping(usage.get("prompt_tokens_details"))
    extra = _mapping(metadata.get("additional_usage_values"))
    read = _first(usage, extra, "cache_read_input_tokens") or _count(details, "cached_tokens") or 0
    written = (
        _first(usage, extra, "cache_creation_input_tokens")
        or _count(details, "cache_creation_tokens")
        or 0
    )
    prompt = _count(usage, "prompt_tokens") or 0
    counts: dict[str, Any] = {
        "input_tokens": prompt - read - written if prompt >= read + written else prompt,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": written,
        "output_tokens": _count(usage, "completion_tokens") or 0,
    }
    ttl = _mapping(details.get("cache_creation_token_details")) or _mapping(
        usage.get("cache_creation")
    )
    if ttl:
        counts["cache_creation"] = dict(ttl)
    return counts


def _first(usage: Mapping[str, Any], extra: Mapping[str, Any], name: str) -> int | None:
    found = _count(usage, name)
    return _count(extra, name) if found is None else found


def _count(usage: Mapping[str, Any], name: str) -> int | None:
    value = usage.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
