"""Values that fit a JSON schema, from a seeded source: tool inputs and structured outputs."""

from __future__ import annotations

from random import Random
from typing import Any

__all__ = ["value_for"]

# a client may really carry out what the agent asks for: names that exist nowhere do no harm
_NAMES = ("emulated-a.txt", "emulated-b.txt", "emulated-c.txt", "emulated-d.txt")


def value_for(schema: Any, random: Random) -> Any:
    """A value of the schema: required members only, the smallest list, the first of a union."""
    if not isinstance(schema, dict):
        return None
    for name in ("anyOf", "oneOf", "allOf"):
        if isinstance(schema.get(name), list) and schema[name]:
            return value_for(schema[name][0], random)
    if "const" in schema:
        return schema["const"]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return random.choice(list(schema["enum"]))
    kind = schema.get("type", "object" if "properties" in schema else "string")
    return _plain(kind[0] if isinstance(kind, list) and kind else kind, schema, random)


def _plain(kind: Any, schema: dict[str, Any], random: Random) -> Any:
    match kind:
        case "object":
            members, names = schema.get("properties"), schema.get("required")
            members = members if isinstance(members, dict) else {}
            names = [n for n in names if isinstance(n, str)] if isinstance(names, list) else []
            return {name: value_for(members.get(name, {}), random) for name in names}
        case "array":
            return [value_for(schema.get("items", {}), random)] * _bound(schema, "minItems", 1)
        case "integer":
            least = _bound(schema, "minimum", 1)
            return random.randint(least, max(least, _bound(schema, "maximum", 100)))
        case "number":
            return random.randint(1, 100) / 4
        case "boolean":
            return random.random() < 0.5
        case "null":
            return None
        case _:
            return random.choice(_NAMES)


def _bound(schema: dict[str, Any], name: str, default: int) -> int:
    value = schema.get(name, default)
    return int(value) if isinstance(value, int | float) else default
