"""The Models API: what each model can do. Source: API facts, section 4.7."""

from __future__ import annotations

from typing import Any

from farthing.lab.emulator.call import Call
from farthing.lab.emulator.catalog import MODELS, Model, find_model
from farthing.lab.emulator.paging import page_of
from farthing.lab.emulator.refusal import not_found
from farthing.lab.emulator.reply import Reply, json_reply

__all__ = ["list_models", "show_model"]


def list_models(query: str, call: Call) -> Reply:
    """``GET /v1/models``, newest first."""
    rows = [_row(model, call) for model in MODELS.values() if not model.is_retired(call.at)]
    rows.sort(key=lambda row: str(row["created_at"]), reverse=True)
    return json_reply(page_of(rows, query))


def show_model(model_id: str, call: Call) -> Reply:
    """``GET /v1/models/{id}``."""
    model = find_model(model_id)
    if model is None:
        raise not_found(f"model: {model_id}")
    return json_reply(_row(model, call))


def _row(model: Model, call: Call) -> dict[str, Any]:
    deprecated = model.is_deprecated(call.at)
    lifecycle = "deprecated" if deprecated else "active"
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.name,
        "created_at": f"{model.released}T00:00:00Z",
        "max_input_tokens": model.context_tokens,
        "max_tokens": model.max_output_tokens,
        "lifecycle": "retired" if model.is_retired(call.at) else lifecycle,
        "line": model.line,
        "deprecated_at": f"{model.deprecated}T00:00:00Z" if deprecated else None,
        "retires_at": f"{model.retires}T00:00:00Z" if deprecated else None,
        "capabilities": _capabilities(model),
    }


def _capabilities(model: Model) -> dict[str, Any]:
    adapts = model.adaptive == "yes"
    yes = {"supported": True}
    newer = {"supported": adapts}
    kinds = {
        "adaptive": model.adaptive,
        "between_tools": model.between_tools,
        "disabled": model.disabled,
        "enabled": model.enabled,
    }
    return {
        "batch": yes,
        "citations": yes,
        "code_execution": yes,
        "context_management": {
            "supported": True,
            "clear_thinking_20251015": yes,
            "clear_tool_uses_20250919": yes,
            "compact_20260112": yes,
        },
        "effort": {
            "supported": adapts,
            **dict.fromkeys(("low", "medium", "high", "xhigh", "max"), newer),
        },
        "image_input": yes,
        "pdf_input": yes,
        "server_tools": {"supported": True, "code_execution": yes, "web_search": yes},
        "structured_outputs": yes,
        "thinking": {
            "supported": True,
            "types": {name: {"supported": rule != "no"} for name, rule in kinds.items()},
        },
    }
