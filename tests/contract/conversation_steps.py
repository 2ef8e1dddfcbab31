"""One conversation with Claude as data, and two ways to hold it: blocking and awaited."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import anthropic

import farthing

Kind = Literal[
    "create", "stream", "manager", "raw", "raw_stream", "beta", "count", "batch", "models"
]

MODELS: Final = ("claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5", "claude-unknown-9")
TOOL: Final = {
    "name": "read_file",
    "description": "Read a file.",
    "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call of a client."""

    kind: Kind
    body: dict[str, Any] = field(default_factory=dict)
    #: type and id of the tasks it is made in, outermost first
    tasks: tuple[tuple[str, str], ...] = ()
    fault: str | None = None
    times: int = 1


def body(number: int, **more: Any) -> dict[str, Any]:
    asked = {"role": "user", "content": f"Question {number}: what is {number} squared?"}
    values = {"model": MODELS[number % 3], "max_tokens": 50 + number, "messages": [asked]}
    return values | more


def steps() -> Iterator[Step]:
    """More than sixty calls: every kind, tools, prompt cache, refusals, retries, broken streams."""
    number = 0
    kind: Kind
    for kind in ("create", "stream", "manager", "raw", "raw_stream", "beta", "count"):
        for index in range(6):
            number += 1
            tasks = (("project", "p1"), ("classify", f"c{index}"))[: index % 3]
            yield Step(kind=kind, body=body(number), tasks=tasks)
    long = [{"type": "text", "text": "Be brief. " * 3_000, "cache_control": {"type": "ephemeral"}}]
    for index in range(4):
        number += 1
        kind = "stream" if index % 2 else "create"
        same = body(number, model=MODELS[1], system=long)
        yield Step(kind=kind, body=same, tasks=(("cached", "k1"),))
    for kind in ("create", "manager"):
        number += 1
        yield Step(kind=kind, body=body(number, tools=[TOOL]), tasks=(("tools", "t1"),))
    for kind in ("create", "stream", "raw"):
        for fault in ("status=529 retry-after=0.01", "status=429 retry-after=0.01"):
            number += 1
            yield Step(kind=kind, body=body(number), fault=fault, times=2, tasks=(("busy", "b1"),))
    yield Step(kind="create", body=body(90), fault="status=500 retry-after=0.01", times=3)
    yield Step(kind="create", body=body(91, max_tokens=0, messages=[]))
    yield Step(kind="stream", body=body(92, max_tokens=-1))
    yield Step(kind="create", body=body(93, model=MODELS[3]))
    yield Step(kind="stream", body=body(94), fault="cut=4")
    yield Step(kind="stream", body=body(95), fault="error-event=overloaded_error after=2")
    yield Step(kind="count", body=body(96), fault="status=529 retry-after=0.01")
    yield Step(kind="batch", body=body(97), tasks=(("bulk", "n1"),))
    yield Step(kind="models")


def message_body(step: Step) -> dict[str, Any]:
    """What of a body ``count_tokens`` takes."""
    return {name: value for name, value in step.body.items() if name != "max_tokens"}


class Entered:
    """The tasks of a step, entered; their headers where a gateway must be told."""

    def __init__(self, step: Step, *, by_headers: bool) -> None:
        self._made: list[farthing.Task] = []
        self._step = step
        self._by_headers = by_headers

    def __enter__(self) -> dict[str, str]:
        for task_type, task_id in self._step.tasks:
            self._made.append(farthing.task(task_type, task_id=task_id).__enter__())
        return self._made[-1].headers() if self._made and self._by_headers else {}

    def __exit__(self, *exc_info: object) -> None:
        for made in reversed(self._made):
            made.__exit__(*exc_info)


def hold(
    client: anthropic.Anthropic,
    step: Step,
    *,
    by_headers: bool,
    between: Callable[[], object] = lambda: None,
) -> str:
    """Make the call; what came of it. ``between`` a batch's creation and its results."""
    with Entered(step, by_headers=by_headers) as headers:
        try:
            return str(_said(client, step, headers, between))
        except (anthropic.APIError, anthropic.AnthropicError) as error:
            return type(error).__name__
        except Exception as error:  # noqa: BLE001  a broken stream raises what its transport does
            return type(error).__name__


def _said(
    client: anthropic.Anthropic, step: Step, headers: dict[str, str], between: Callable[[], object]
) -> Any:
    messages: Any = client.messages
    sent = {**step.body, "extra_headers": headers}
    match step.kind:
        case "create":
            return messages.create(**sent).to_json()
        case "stream":
            return "".join(event.to_json() for event in messages.create(**sent, stream=True))
        case "manager":
            with messages.stream(**sent) as stream:
                return stream.get_final_message().to_json()
        case "raw":
            return messages.with_raw_response.create(**sent).parse().to_json()
        case "raw_stream":
            with messages.with_streaming_response.create(**sent) as response:
                return "".join(response.iter_text())
        case "beta":
            return client.beta.messages.create(**sent).to_json()
        case "count":
            counted = messages.count_tokens(**message_body(step), extra_headers=headers)
            return counted.to_json()
        case "batch":
            rows: Any = [{"custom_id": name, "params": step.body} for name in ("a", "b")]
            batch = messages.batches.create(requests=rows, extra_headers=headers)
            between()
            return "".join(row.to_json() for row in messages.batches.results(batch.id))
        case "models":
            return "".join(model.id for model in client.models.list())


async def hold_async(
    client: anthropic.AsyncAnthropic, step: Step, *, between: Callable[[], object]
) -> str:
    """``hold``, awaited, over the middleware."""
    with Entered(step, by_headers=False):
        try:
            return str(await _said_async(client, step, between))
        except (anthropic.APIError, anthropic.AnthropicError) as error:
            return type(error).__name__
        except Exception as error:  # noqa: BLE001  a broken stream raises what its transport does
            return type(error).__name__


async def _said_async(
    client: anthropic.AsyncAnthropic, step: Step, between: Callable[[], object]
) -> Any:
    messages: Any = client.messages
    sent = step.body
    match step.kind:
        case "create":
            return (await messages.create(**sent)).to_json()
        case "stream":
            events = await messages.create(**sent, stream=True)
            return "".join([event.to_json() async for event in events])
        case "manager":
            async with messages.stream(**sent) as stream:
                return (await stream.get_final_message()).to_json()
        case "raw":
            raw = await messages.with_raw_response.create(**sent)
            parsed: anthropic.types.Message = await raw.parse()
            return parsed.to_json()
        case "raw_stream":
            async with messages.with_streaming_response.create(**sent) as response:
                return "".join([text async for text in response.iter_text()])
        case "beta":
            return (await client.beta.messages.create(**sent)).to_json()
        case "count":
            return (await messages.count_tokens(**message_body(step))).to_json()
        case "batch":
            rows: Any = [{"custom_id": name, "params": step.body} for name in ("a", "b")]
            batch = await messages.batches.create(requests=rows)
            between()
            results = await messages.batches.results(batch.id)
            return "".join([row.to_json() async for row in results])
        case "models":
            return "".join([model.id async for model in client.models.list()])
