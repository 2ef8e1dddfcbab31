"""Which requests the Claude API refuses: parameters, models, and the rules between messages.

Written from the API facts alone (sections 1.7, 2.8, 4.1, 8); it shares nothing with the engine's
own rules, which are tested against it. One function per rule, in the order they are checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from farthing.lab.emulator.call import Call
from farthing.lab.emulator.catalog import Model, find_model
from farthing.lab.emulator.chain import thinking_mode
from farthing.lab.emulator.prompt import Prompt
from farthing.lab.emulator.refusal import invalid, not_found

__all__ = ["NEW_VERSION", "check_parameters", "resolve_model"]

NEW_VERSION = "2026-10-21"
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_EXTENDED_OUTPUT = "output-300k-2026-03-24"


def resolve_model(prompt: Prompt, call: Call) -> Model:
    """The model of a request, or the error of a missing, unknown or retired one."""
    name = prompt.fields.get("model")
    if not isinstance(name, str) or not name:
        raise invalid("model: Field required")
    model = find_model(name)
    if model is None or model.is_retired(call.at):
        raise not_found(f"model: {name}")
    return model


def check_parameters(prompt: Prompt, model: Model, call: Call) -> None:
    """Refuse what is refused for its parameters, whatever the messages say."""
    for rule in _RULES:
        rule(prompt.fields, model, call)
    if call.batch:
        _check_batch_item(prompt.fields)


def _check_max_tokens(fields: Mapping[str, Any], model: Model, call: Call) -> None:
    value = fields.get("max_tokens")
    if value is None:
        raise invalid("max_tokens: Field required")
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise invalid("max_tokens: Input should be greater than or equal to 0")
    limit = 300_000 if call.batch and call.has_beta(_EXTENDED_OUTPUT) else model.max_output_tokens
    if value > limit:
        raise invalid(
            f"max_tokens: {value} > {limit}, which is the maximum allowed number of output tokens "
            f"for {model.id}"
        )
    if value == 0:
        _check_prewarm(fields)


def _check_prewarm(fields: Mapping[str, Any]) -> None:
    """``max_tokens: 0`` only fills the prompt cache (section 2.8)."""
    choice, config = _mapping(fields, "tool_choice"), _mapping(fields, "output_config")
    clashes = {
        "stream: true": bool(fields.get("stream")),
        "thinking.type: enabled": _mapping(fields, "thinking").get("type") == "enabled",
        "output_config.format": config.get("format") is not None,
        f"tool_choice.type: {choice.get('type')}": choice.get("type") in ("any", "tool"),
    }
    for name, clash in clashes.items():
        if clash:
            raise invalid(f"max_tokens: 0 cannot be combined with {name}")


def _check_thinking(fields: Mapping[str, Any], model: Model, _call: Call) -> None:
    asked = _mapping(fields, "thinking")
    kind = str(asked.get("type", ""))
    if not asked:
        return
    rules = {
        "adaptive": model.adaptive,
        "enabled": model.enabled,
        "disabled": model.disabled,
        "between_tools": model.between_tools,
    }
    allowed = rules.get(kind)
    if allowed is None:
        raise invalid(f"thinking.type: Input should be one of {', '.join(rules)}, got {kind!r}")
    if allowed == "no":
        raise invalid(
            f'"thinking.type.{kind}" is not supported for this model.{_hint(kind, model)}'
        )
    if allowed == "up_to_high" and _effort(fields, model) in ("xhigh", "max"):
        raise invalid(f'"thinking.type.{kind}" is only supported at effort "high" or lower.')
    if kind == "enabled":
        _check_budget(asked, fields)


def _hint(kind: str, model: Model) -> str:
    if kind == "enabled" and model.adaptive == "yes":
        return (
            ' Use "thinking.type.adaptive" and "output_config.effort" to control thinking behavior.'
        )
    return ""


def _check_budget(asked: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    budget = asked.get("budget_tokens")
    if not isinstance(budget, int) or budget < 1024:
        raise invalid(
            "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
        )
    if budget >= fields["max_tokens"]:
        raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")


def _check_effort(fields: Mapping[str, Any], model: Model, _call: Call) -> None:
    effort = _effort(fields, model)
    if effort not in _EFFORTS:
        raise invalid(f"output_config.effort: Input should be one of {', '.join(_EFFORTS)}")


def _effort(fields: Mapping[str, Any], model: Model) -> str:
    return str(_mapping(fields, "output_config").get("effort") or model.default_effort)


def _check_tool_choice(fields: Mapping[str, Any], model: Model, _call: Call) -> None:
    kind = _mapping(fields, "tool_choice").get("type", "auto")
    if kind not in ("auto", "any", "tool", "none"):
        raise invalid(
            f"tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none', got {kind!r}"
        )
    if kind in ("auto", "none"):
        return
    thinks = thinking_mode(fields, model) not in ("disabled", "between_tools")
    if model.forced_tool_choice == "no" or (
        model.forced_tool_choice == "without_thinking" and thinks
    ):
        raise invalid("Thinking may not be enabled when tool_choice forces tool use.")


def _check_sampling(fields: Mapping[str, Any], model: Model, call: Call) -> None:
    defaults = {"temperature": 1, "top_p": 1, "top_k": None}
    for name, default in defaults.items():
        value = fields.get(name)
        if value is None:
            continue
        if call.version == NEW_VERSION:
            raise invalid(f"{name}: this parameter is not supported in version {NEW_VERSION}.")
        if not model.sampling and value != default:
            raise invalid(f"`{name}` is not supported for this model at a non-default value.")


def _check_geo_and_speed(fields: Mapping[str, Any], model: Model, call: Call) -> None:
    geo, speed = fields.get("inference_geo"), fields.get("speed")
    if geo not in (None, "global", "us"):
        raise invalid(f"inference_geo: Input should be 'global' or 'us', got {geo!r}")
    if geo and not model.geo:
        raise invalid(f"inference_geo: not supported for model {model.id}.")
    if speed not in (None, "standard", "fast"):
        raise invalid(f"speed: Input should be 'standard' or 'fast', got {speed!r}")
    beta = call.has_beta("fast-mode-2026-02-01")
    if speed == "fast" and (model.fast == "no" or (model.fast == "beta" and not beta)):
        raise invalid(f"speed: 'fast' is not supported for model {model.id}.")


def _check_batch_item(fields: Mapping[str, Any]) -> None:
    """What an item of a batch may not carry (section 3)."""
    for name in ("speed", "thread"):
        if fields.get(name) is not None:
            raise invalid(f"{name}: Extra inputs are not permitted in a batch request")
    if fields.get("stream"):
        raise invalid("stream: streaming is not supported in a batch request")
    if fields.get("max_tokens") == 0:
        raise invalid("max_tokens: 0 is not supported in a batch request")


def _mapping(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


_RULES: tuple[Callable[[Mapping[str, Any], Model, Call], None], ...] = (
    _check_max_tokens,
    _check_thinking,
    _check_effort,
    _check_tool_choice,
    _check_sampling,
    _check_geo_and_speed,
)
