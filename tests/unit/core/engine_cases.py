"""An engine, requests for it, and a provider that answers as the engine foresaw: values only."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from farthing.core.engine import Engine
from farthing.core.engine_setup import EngineSetup
from farthing.core.engine_values import Caller, EngineAnswer, EngineCall
from farthing.core.exchange_plan import Plan
from farthing.core.policy import Policy, policy_of
from farthing.core.records import Accounting, Attribution
from farthing.driver.pins import PinStore
from farthing.ledger.pins import MemoryPins
from farthing.pricing import catalog, price
from farthing.wire.usage import Usage

NOW: Final = datetime(2026, 11, 21, tzinfo=UTC)
MODEL: Final = "claude-opus-5-5"
MARK: Final = {"type": "ephemeral"}
HOUR: Final = {"type": "ephemeral", "ttl": "1h"}
TOOLS: Final[list[dict[str, Any]]] = [
    {"name": name, "description": "It does. " * 50, "input_schema": {"type": "object"}}
    for name in ("write", "read")
]


def text(said: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": said} | more


def messages(turns: int, *, mark: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """A conversation before its answer number ``turns``; the last block may carry a mark."""
    found: list[dict[str, Any]] = []
    for number in range(turns):
        found.append({"role": "user", "content": [text(f"Question {number}. " * 150)]})
        found.append({"role": "assistant", "content": [text(f"Answer {number}. " * 20)]})
    found.pop()
    if mark is not None:
        found[-1]["content"][-1]["cache_control"] = mark
    return found


def body(turns: int = 1, *, mark: dict[str, str] | None = None, **fields: Any) -> bytes:
    request = {
        "model": MODEL,
        "max_tokens": 100,
        "tools": TOOLS,
        "system": [text("You are an agent. " * 300)],
        "messages": messages(turns, mark=mark),
    }
    return json.dumps(request | fields).encode()


def attribution(**changes: Any) -> Attribution:
    given: dict[str, Any] = {
        "task_id": "t",
        "root_task_id": "t",
        "key_scope": "k",
        "source": "header",
    }
    return Attribution(**given | changes)


def caller(now: datetime = NOW, **changes: Any) -> Caller:
    given: dict[str, Any] = {
        "attribution": attribution(),
        "key": None,
        "levers": None,
        "is_bypassed": False,
        "is_subscription": False,
        "now": now,
    }
    return Caller(**given | changes)


def setup(policy: Policy | None = None, **changes: Any) -> EngineSetup:
    given: dict[str, Any] = {
        "policy": policy or policy_of("safe"),
        "engine_version": "1",
        "install_key": b"k",
        "prices": catalog(),
    }
    return EngineSetup(**given | changes)


@dataclass
class Process:
    """One gateway: its engine, and a pin store that others may share."""

    engine: Engine = field(default_factory=lambda: Engine(setup()))
    pins: PinStore = field(default_factory=MemoryPins)
    now: datetime = NOW
    #: the last call
    call: EngineCall | None = None

    def plan(self, sent: bytes, *, after: float = 10.0, **who: Any) -> Plan:
        """Everything before sending."""
        self.now += timedelta(seconds=after)
        reading = self.engine.read(sent, {})
        call = self.call = self.engine.begin(reading, caller(self.now, **who))
        assert call is not None
        pin = self.engine.known_pin(call) or self.pins.pin(call.lineage_id, self.now)
        wanted = self.engine.choose(call, pin)
        if wanted is not None:
            self.engine.kept(call, self.pins.keep(wanted, self.now))
        return self.engine.shape(call)

    def answer(
        self, usage: Usage | None = None, *, output: int = 20, cost: int | None = None
    ) -> Accounting | None:
        """Sent, and answered: as foreseen, if nothing else is said."""
        call = self.call
        assert call is not None
        self.engine.accounts.began(call, self.now)
        assert call.shadowed is not None
        first = self.now + timedelta(seconds=1)
        self.engine.accounts.first_byte(call, first)
        foreseen = call.shadowed.forecast.usage
        told = usage or Usage(
            uncached=foreseen.uncached,
            cache_write_5m=foreseen.cache_write_5m,
            cache_write_1h=foreseen.cache_write_1h,
            cache_read=foreseen.cache_read,
            output=output,
        )
        bill = None if cost == -1 else price(told, call.card)
        answered = EngineAnswer(usage=told, cost=bill, card=call.card, stop_reason="end_turn")
        return self.engine.ended(call, answered, first)

    def turn(self, sent: bytes, **how: Any) -> tuple[Plan, Accounting | None]:
        """Both."""
        return self.plan(sent, **how), self.answer()


def marks(sent: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Where a body has marks."""
    request = json.loads(sent)
    found = [("top", request["cache_control"])] if "cache_control" in request else []
    for name in ("tools", "system"):
        for index, block in enumerate(request.get(name) or []):
            if isinstance(block, dict) and "cache_control" in block:
                found.append((f"{name}.{index}", block["cache_control"]))
    for number, message in enumerate(request["messages"]):
        content = message["content"]
        for index, block in enumerate(content if isinstance(content, list) else []):
            if "cache_control" in block:
                found.append((f"messages.{number}.{index}", block["cache_control"]))
    return found
