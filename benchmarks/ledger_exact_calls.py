"""The mixed load: what each exchange asks for, what goes wrong with it, when its client leaves."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.ledger_exact_prices import PRICES

__all__ = ["BATCH_ITEMS", "KINDS", "Job", "jobs"]

BATCH_ITEMS = 8
_FAULT_RATIO = 0.05

_MODELS = [model for model in PRICES if model != "claude-haiku-4-5-20251001"]
_MODELS.append("claude-haiku-4-5")
_FAST = ["claude-opus-5-5", "claude-opus-5"]
_WORDS = "we run the test that fix all in main with what part when from none read".split()

#: what goes wrong with five in a hundred; the last ones change nothing that is billed
_FAULTS = [
    "status=429 retry-after=0",
    "status=529",
    "status=500",
    "status=504",
    "cut=0",
    "cut=1",
    "cut=3",
    "cut=6",
    "error-event=overloaded_error after=1",
    "error-event=overloaded_error after=4",
    "spend-limit",
    "own-limit",
    "slow=0.02",
    "latency=0.3",
    "evict",
]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One exchange as a client wants it; a thread goes on with ``then`` and the answer's id."""

    label: str
    kind: str
    body: dict[str, Any]
    path: str = "/v1/messages"
    headers: dict[str, str] = field(default_factory=dict)
    fault: str = ""
    #: leave after so many bytes of the answer; 0: before its head
    leave_after: int | None = None
    tries: int = 5
    says_retries: bool = True
    then: Job | None = None

    @property
    def exchanges(self) -> int:
        """How many exchanges it stands for."""
        items = len(self.body["requests"]) if self.kind == "batch" else 1
        return items + (self.then.exchanges if self.then else 0)


def jobs(
    count: int, seed: int, kinds: Sequence[str] = (), faulty: float | None = None
) -> Iterator[Job]:
    """Jobs of at least ``count`` exchanges, in an order that depends on the seed only.

    ``kinds`` none: all, as in the table below. ``faulty``: another share of faults than usual.
    """
    dice = random.Random(seed)
    made, number = 0, 0
    kinds = kinds or list(KINDS)
    weights = [_KINDS[kind][0] for kind in kinds]
    while made < count:
        kind = dice.choices(kinds, weights)[0]
        job = _KINDS[kind][1](f"{kind}-{number}", kind, dice)
        if faulty is not None and not job.fault and dice.random() < faulty:
            job = replace(job, fault=dice.choice(_FAULTS))
        yield job
        made, number = made + job.exchanges, number + 1


def _text(dice: random.Random, words: int) -> str:
    return " ".join(dice.choice(_WORDS) for _ in range(words))


def _body(label: str, dice: random.Random, **more: Any) -> dict[str, Any]:
    """A request; half of them share a long system prompt and mark it for the prompt cache."""
    model = dice.choice(_MODELS)
    body = {
        "model": model,
        "max_tokens": dice.choice([16, 200, 1000, 4096]),
        "messages": [{"role": "user", "content": f"{label}: {_text(dice, dice.randint(5, 300))}"}],
    }
    if dice.random() < 0.5:
        shared = _text(random.Random(dice.randint(0, 5)), 1500)
        mark = {"type": "ephemeral", **dice.choice([{}, {"ttl": "5m"}, {"ttl": "1h"}])}
        body["system"] = [{"type": "text", "text": shared, "cache_control": mark}]
    return {**body, **more}


def _fault(dice: random.Random) -> str:
    return dice.choice(_FAULTS) if dice.random() < _FAULT_RATIO else ""


def _call(label: str, kind: str, dice: random.Random, more: dict[str, Any], **job: Any) -> Job:
    job.setdefault("fault", _fault(dice))
    job.setdefault("tries", dice.choice([1, 5, 5]))
    job.setdefault("says_retries", dice.random() < 0.7)
    more.setdefault("stream", dice.random() < 0.5)
    return Job(label=label, kind=kind, body=_body(label, dice, **more), **job)


def _plain(label: str, kind: str, dice: random.Random) -> Job:
    return _call(label, kind, dice, {"stream": False})


def _stream(label: str, kind: str, dice: random.Random) -> Job:
    more: dict[str, Any] = {"stream": True}
    if dice.random() < 0.2:
        more["inference_geo"] = "global"
        more["model"] = "claude-opus-5-5"
    return _call(label, kind, dice, more)


def _cancelled(label: str, kind: str, dice: random.Random) -> Job:
    """The client leaves: before the head, behind it, in the middle, near the end."""
    streams = dice.random() < 0.8
    leave = dice.choice([1, 600, 1500, 3000, 6000]) if streams else 0
    fault = f"slow={dice.choice([0.005, 0.02])}" if streams else "latency=0.2"
    order = {"x-emulator-answer": f"output={dice.choice([50, 400, 900])}"}
    return _call(
        label,
        kind,
        dice,
        {"stream": streams, "max_tokens": 2000},
        fault=fault,
        leave_after=leave,
        headers=order,
        tries=1,
    )


def _retried(label: str, kind: str, dice: random.Random) -> Job:
    fault = dice.choice(["status=429 retry-after=0", "status=529", "status=500"])
    return _call(label, kind, dice, {}, fault=fault, tries=5)


def _fast(label: str, kind: str, dice: random.Random) -> Job:
    more: dict[str, Any] = {"model": dice.choice(_FAST), "speed": "fast"}
    if dice.random() < 0.3:
        more["inference_geo"] = "us"
    return _call(label, kind, dice, more, headers={"anthropic-beta": "fast-mode-2026-02-01"})


def _us(label: str, kind: str, dice: random.Random) -> Job:
    model = dice.choice([one for one in _MODELS if one != "claude-haiku-4-5"])
    return _call(label, kind, dice, {"model": model, "inference_geo": "us"})


def _search(label: str, kind: str, dice: random.Random) -> Job:
    tool = {"type": "web_search_20260209", "name": "web_search"}
    order = {"x-emulator-answer": f"search={dice.randint(1, 4)} output=120"}
    more = {"tools": [tool], "max_tokens": 2000}
    return _call(label, kind, dice, more, headers=order)


def _compaction(label: str, kind: str, dice: random.Random) -> Job:
    if dice.random() < 0.8:
        headers = {"anthropic-beta": "compact-2026-09-04"}
        asked = {"compaction": {"type": "summarize"}, "model": "claude-opus-5-5"}
        return _call(label, kind, dice, asked, headers=headers)
    long = [{"role": "user", "content": f"{label}: {_text(dice, 60_000)}"}]
    trigger = {"type": "input_tokens", "value": 50_000}
    edits = {"edits": [{"type": "compact_20260112", "trigger": trigger}]}
    more = {"messages": long, "context_management": edits, "model": "claude-sonnet-5-5"}
    return _call(label, kind, dice, more, headers={"anthropic-beta": "compact-2026-01-12"})


def _thread(label: str, kind: str, dice: random.Random) -> Job:
    headers = {"anthropic-beta": "message-threads-2026-08-12"}
    more = {"model": "claude-sonnet-5-5", "thread": {"type": "create"}, "stream": False}
    again = _call(
        f"{label}b", kind, dice, {**more, "thread": {"type": "continue"}}, headers=headers
    )
    again.body.pop("system", None)
    return _call(label, kind, dice, more, headers=headers, then=again, fault="")


def _refusal(label: str, kind: str, dice: random.Random) -> Job:
    """Free where nothing was said, also where the stream is cut before it says so."""
    fault = dice.choice(_FAULTS) if dice.random() < 0.4 else ""
    order = {"x-emulator-answer": "stop=refusal"}
    return _call(label, kind, dice, {}, headers=order, fault=fault)


def _long(label: str, kind: str, dice: random.Random) -> Job:
    """Haiku 5.5 on both sides of its band."""
    words = dice.choice([60_000, 130_000])
    content = f"{label}: {_text(dice, words)}"
    more = {"model": "claude-haiku-5-5", "messages": [{"role": "user", "content": content}]}
    return _call(label, kind, dice, more)


def _count(label: str, kind: str, dice: random.Random) -> Job:
    body = _body(label, dice)
    del body["max_tokens"]
    return Job(label=label, kind=kind, body=body, path="/v1/messages/count_tokens")


def _batch(label: str, kind: str, dice: random.Random) -> Job:
    items = []
    for number in range(BATCH_ITEMS):
        name = f"{label}_{number}"
        more: dict[str, Any] = {}
        if number == 0:
            more = {"model": "claude-opus-5-5", "inference_geo": "us"}
        elif number == 1:
            more = {"temperature": 7}  # an item that errors: it costs nothing
        items.append({"custom_id": name, "params": _body(name, dice, **more)})
    path = "/v1/messages/batches"
    return Job(label=label, kind=kind, body={"requests": items}, path=path)


_KINDS: dict[str, tuple[float, Callable[[str, str, random.Random], Job]]] = {
    "plain": (27, _plain),
    "stream": (26, _stream),
    "cancelled": (10, _cancelled),
    "retried": (8, _retried),
    "fast": (5, _fast),
    "us": (5, _us),
    "search": (5, _search),
    "compaction": (3, _compaction),
    "thread": (3, _thread),
    "refusal": (2, _refusal),
    "count": (2, _count),
    "batch": (1.5, _batch),
    "long": (0.4, _long),
}

KINDS = tuple(_KINDS)
