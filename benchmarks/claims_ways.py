"""Two ways to find out what a case's requests cost: the core's model, and the wire.

The wire is the real SDK, the gateway and the emulator over HTTP, with a ledger; the clock is
virtual, so that an hour's pause takes no time. Tokens per block are told to the emulator, because
its tokenizer is not Claude's. Both return the same type, to be compared to the token.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import anthropic
import msgspec

from benchmarks.claims_cases import QUESTION, Case, Shot
from farthing.compose import RunningGateway, running_gateway
from farthing.config import Settings
from farthing.core.prefix import Mark, PrefixView
from farthing.core.prompt_cache import PromptCache
from farthing.lab.emulator import TYPICAL, RunningEmulator, emulator
from farthing.lab.emulator import Settings as EmulatorSettings
from farthing.pricing import traits
from farthing.wire.usage import Usage

__all__ = ["Measured", "Wire", "minimum_of", "naive", "open_wire", "simulated"]

_START: Final = datetime(2026, 11, 16, 12, tzinfo=UTC)
_FIRST_BYTE_HEADER: Final = "x-emulator-first-byte-seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Token counts without the questions, and seconds to the first token of each billed call."""

    usage: Usage
    first_token_seconds: tuple[float, ...]

    @property
    def mean_first_token_seconds(self) -> float:
        """Per turn."""
        return sum(self.first_token_seconds) / len(self.first_token_seconds)


def minimum_of(model: str) -> int:
    """The shortest prefix the model caches."""
    known = traits(model)
    assert known is not None
    return known.min_cacheable_tokens


def naive(case: Case) -> Measured:
    """Nothing is cached."""
    shots = case.shots[case.billed_from :]
    return _measured(
        [Usage(uncached=sum(shot.sizes), output=shot.output) for shot in shots],
        [TYPICAL.first_byte_seconds(uncached=sum(shot.sizes), cached=0) for shot in shots],
    )


def simulated(case: Case, model: str) -> Measured:
    """Through the core's model of the prompt cache."""
    cache, usages, waits = PromptCache(), [], []
    for shot in case.shots:
        view, began_at = _view(shot, model), _START + timedelta(seconds=shot.at)
        forecast = cache.begin(view, began_at)
        read = forecast.usage.cache_read
        wait = TYPICAL.first_byte_seconds(uncached=view.total_tokens - read, cached=read)
        first_byte_at = began_at + timedelta(seconds=wait)
        cache.observe(view, forecast, began_at=began_at, first_byte_at=first_byte_at)
        usages.append(msgspec.structs.replace(forecast.usage, output=shot.output))
        waits.append(wait)
    return _measured(usages[case.billed_from :], waits[case.billed_from :])


def _view(shot: Shot, model: str) -> PrefixView:
    return PrefixView(
        scope="claims",
        model=model,
        digests=[f"{at}".encode() for at in range(len(shot.sizes))],
        positions=list(accumulate(shot.sizes)),
        total_tokens=sum(shot.sizes),
        marks=(Mark(index=shot.mark, ttl=shot.ttl),),
        min_cacheable_tokens=minimum_of(model),
        system_end=1,
    )


def _measured(usages: Sequence[Usage], waits: Sequence[float]) -> Measured:
    counts = {
        name: sum(getattr(usage, name) for usage in usages)
        for name in ("uncached", "cache_write_5m", "cache_write_1h", "cache_read", "output")
    }
    counts["uncached"] -= QUESTION * len(usages)
    return Measured(usage=Usage(**counts), first_token_seconds=tuple(waits))


@dataclass(slots=True)
class Wire:
    """SDK → gateway → emulator; every case gets a workspace and a stretch of time of its own."""

    gateway: RunningGateway
    emu: RunningEmulator
    calls: int = field(default=0)
    _cases: int = 0
    _now: float = _START.timestamp()

    def measure(self, case: Case, model: str) -> Measured:
        """What the gateway's ledger says of these requests."""
        self._cases += 1
        key = f"sk-emu-claims.case-{self._cases}"
        waits = []
        with (
            anthropic.Anthropic(base_url=self.gateway.url, api_key=key, max_retries=0) as client,
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore", DeprecationWarning)  # of models near their end
            for shot in case.shots:
                waits.append(self._send(client, shot, model))
        self._now += case.shots[-1].at + 86_400.0
        usages = self._booked(len(case.shots))
        return _measured(usages[case.billed_from :], waits[case.billed_from :])

    def _send(self, client: anthropic.Anthropic, shot: Shot, model: str) -> float:
        answer = client.messages.with_raw_response.create(
            **_body(shot, model),
            extra_headers={
                "x-emulator-at": repr(self._now + shot.at),
                "x-emulator-sizes": ",".join(str(size) for size in shot.sizes),
                "x-emulator-answer": f"output={max(1, shot.output)}",
            },
        )
        self.calls += 1
        return float(answer.headers[_FIRST_BYTE_HEADER])

    def _booked(self, count: int) -> list[Usage]:
        """The last rows of the ledger; an output that no case asked for is not counted."""
        self.gateway.ledger.flush()
        rows = [row for row in self.gateway.ledger.rows() if row.settlement is not None]
        usages = [row.settlement.usage for row in rows[-count:] if row.settlement is not None]
        return [
            msgspec.structs.replace(usage, output=usage.output if usage.output > 1 else 0)
            for usage in usages
            if usage is not None
        ]


@contextmanager
def open_wire(folder: Path) -> Iterator[Wire]:
    """An emulator and a gateway in front of it, for as long as the block lasts."""
    witness = EmulatorSettings(latency=TYPICAL, started_at=_START, requests_kept=1)
    with emulator(witness) as emu:
        ledger = str(folder / "ledger.db")
        # a claim is about the client's own marks: no lever may add to them
        settings = Settings(upstream=emu.url, port=0, ledger=ledger, cache="off")
        with running_gateway(settings) as gateway:
            yield Wire(gateway, emu)


def _body(shot: Shot, model: str) -> dict[str, Any]:
    """The request: a system prompt, questions and answers in turn, one mark."""
    texts: list[dict[str, Any]] = [
        {"type": "text", "text": f"part {at}"} for at in range(len(shot.sizes))
    ]
    texts[shot.mark] |= {"cache_control": {"type": "ephemeral", "ttl": shot.ttl}}
    return {
        "model": model,
        "max_tokens": max(1, shot.output),
        "system": [texts[0]],
        "messages": [
            {"role": "assistant" if at % 2 else "user", "content": [text]}
            for at, text in enumerate(texts[1:])
        ],
    }
