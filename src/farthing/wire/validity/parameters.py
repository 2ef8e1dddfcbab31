"""Rules of the parameters beside the prompt, most of them by model (1.3, 1.7, 2.8, 4.1)."""

from __future__ import annotations

from collections.abc import Iterator

from farthing.wire.validity.rule import Rule, RuleHit, Subject

__all__ = ["RULES"]

_SAMPLING = ("temperature", "top_p", "top_k")
#: what means the same as leaving it out [I]
_DEFAULTS = {"temperature": 1.0, "top_p": 1.0}


def _model(subject: Subject) -> Iterator[RuleHit]:
    if subject.request.model is None:
        yield RuleHit("model", "Field required")


def _max_tokens(subject: Subject) -> Iterator[RuleHit]:
    if subject.request.max_tokens is None:
        missing = subject.value("max_tokens") is None
        yield RuleHit("max_tokens", "Field required" if missing else "Input should be an integer")


def _max_output(subject: Subject) -> Iterator[RuleHit]:
    # a beta raises the limit for batches; the body does not show it
    asked, limit = subject.request.max_tokens or 0, subject.model.max_output_tokens
    if asked > limit and not subject.is_batch:
        yield RuleHit(
            "max_tokens",
            f"{asked} > {limit}, which is the maximum allowed number of output tokens for "
            f"{subject.model.id}",
        )


def _prewarm(subject: Subject) -> Iterator[RuleHit]:
    if subject.request.max_tokens != 0:
        return
    conflicts = {
        "stream": subject.request.stream,
        "thinking.type": subject.word("thinking", "type") == "enabled",
        "output_config.format": subject.value("output_config", "format") is not None,
        "tool_choice": subject.is_tool_use_forced,
    }
    for address, conflict in conflicts.items():
        if conflict:
            yield RuleHit(address, "not allowed with max_tokens: 0")


def _forced_tool(subject: Subject) -> Iterator[RuleHit]:
    if not subject.is_tool_use_forced:
        return
    rule = subject.model.forced_tool_choice
    thinks = subject.word("thinking", "type") in ("enabled", "adaptive")
    if rule == "no":
        yield RuleHit("tool_choice.type", "this model accepts only auto and none")
    elif rule == "not with thinking" and thinks:
        yield RuleHit("", "Thinking may not be enabled when tool_choice forces tool use.")


def _sampling_by_version(subject: Subject) -> Iterator[RuleHit]:
    if subject.api_version < "2026-10-21":
        return
    for name in _SAMPLING:
        if subject.value(name) is not None:
            yield RuleHit(name, "not accepted by this API version")


def _sampling_by_model(subject: Subject) -> Iterator[RuleHit]:
    if subject.model.sampling:
        return
    for name in _SAMPLING:
        value = subject.value(name)
        if value is not None and not _is_default(name, value):
            yield RuleHit(name, "this model accepts only the default")


def _is_default(name: str, value: bytes) -> bool:
    """Is this the default as a number, however it is spelled: ``1.00``, ``1e0``?"""
    default = _DEFAULTS.get(name)
    # only a JSON number begins so; float() would also read text and words
    return default is not None and value[:1] in b"-0123456789" and float(value) == default


def _geo(subject: Subject) -> Iterator[RuleHit]:
    if not subject.model.geo and subject.value("inference_geo") is not None:
        yield RuleHit("inference_geo", "not accepted by this model")


def _speed(subject: Subject) -> Iterator[RuleHit]:
    if subject.model.fast == "no" and subject.word("speed") == "fast":
        yield RuleHit("speed", "this model has no fast mode")


RULES = (
    Rule(
        code="parameters.model",
        text="the model is named",
        source="4.1",
        check=_model,
    ),
    Rule(
        code="parameters.max_tokens",
        text="max_tokens is a whole number",
        source="4.1",
        check=_max_tokens,
    ),
    Rule(
        code="parameters.max_output",
        text="max_tokens is within what the model can write",
        source="1.1",
        check=_max_output,
        needs_model=True,
    ),
    Rule(
        code="parameters.prewarm",
        text="max_tokens 0 goes without streaming, thinking budget, output format, forced tool",
        source="2.8",
        check=_prewarm,
    ),
    Rule(
        code="tool_choice.forced",
        text="a tool is forced only where the model allows it, and not while it is told to think",
        source="4.1",
        check=_forced_tool,
        needs_model=True,
    ),
    Rule(
        code="sampling.version",
        text="from version 2026-10-21 on, no temperature, top_p or top_k",
        source="1.7",
        check=_sampling_by_version,
    ),
    Rule(
        code="sampling.model",
        text="from Opus 4.7 on, only the default temperature, top_p and top_k",
        source="1.7",
        check=_sampling_by_model,
        needs_model=True,
    ),
    Rule(
        code="parameters.geo",
        text="inference_geo only on models from 4.6 on",
        source="1.3",
        check=_geo,
        needs_model=True,
    ),
    Rule(
        code="parameters.speed",
        text="fast mode only on models that have it",
        source="1.3",
        check=_speed,
        needs_model=True,
    ),
)
