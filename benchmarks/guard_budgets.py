"""Do budgets hold? Thousands of calls at once, with cancels, streams, crashes and clock jumps.

    python benchmarks/guard_budgets.py [--runs N] [--calls N] [--seed N] [--json]

Each run plays calls through the real core and a real ledger, 64 under way at any time: every effect
of every conversation is a step, its seed decides the order, and between two steps anything happens.
Calls are cancelled, streams cut, attempts fail and are tried again, the process dies with all that
is under way (the next one recovers), the clock jumps by days, and conversations grow.

What a call costs is decided here and told to the core in the answer alone. Figures:

- `overshoot`: the most by which the true cost under any budget's key passed its limit, as a share
  of it, over all runs. True cost counts what was sent and never settled.
- `utilisation`: what the widest budget has booked at the end over its limit, the least of all runs
  in `ample`; `utilisation_strict` in `strict`. Booked counts a lost call with its upper end;
  `utilisation_true` is the share that was really spent, where no call was lost.
- `phantom_refusals`: refusals of calls whose worst case fitted beside what was booked and the worst
  cases of all that was under way, by books of our own.

One run of each mode plays `--calls` calls on a ledger with a file, the others a tenth in memory.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a program, from anywhere

from benchmarks.guard_calls import (
    MODEL,
    START,
    Attempt,
    Result,
    Talk,
    World,
    message_of,
    stream_of,
    usage_of,
)
from farthing.core.budgets import Budget, root_first
from farthing.core.budgets_account import Admitted, Denied
from farthing.core.budgets_board import BudgetBoard
from farthing.core.exchange import converse
from farthing.core.exchange_call import Call, Moment
from farthing.core.exchange_effects import (
    Body,
    Conversation,
    Deliver,
    Effect,
    Head,
    Read,
    Relay,
    Reserve,
    Send,
    Settle,
    Wait,
)
from farthing.core.exchange_prepare import Setup
from farthing.core.records import RowFilter
from farthing.driver.prompt import Ports, interrupt, perform
from farthing.ledger import MemoryLedger, SqliteLedger
from farthing.pricing import catalog, price
from farthing.wire.usage import Usage

__all__ = ["Run", "main", "measure"]

CONCURRENCY: Final = 64
CARD: Final = catalog().require(MODEL, on=START)
EVENTS: Final = ((b"content-type", b"text/event-stream"),)
PLAIN: Final = ((b"content-type", b"application/json"),)
#: what the dearest call of the workload holds when nothing of it is known, in 10⁻¹² USD
DEAREST: Final = 400_000_000_000
MAX_TOKENS: Final = (2_000, 4_000, 8_000)
#: refusals in a row after which a budget counts as spent
_IN_A_ROW: Final = 256
Mode = Literal["strict", "ample"]
Ledger = MemoryLedger | SqliteLedger


@dataclass(slots=True)
class Flight:
    """One call under way."""

    attempt: Attempt
    conversation: Conversation
    effect: Effect[Any]
    usage: Usage
    fails: bool
    keys: tuple[str, ...] = ()
    worst: dict[str, int] = field(default_factory=dict)
    is_sent: bool = False


class Run:
    """One seeded run."""

    def __init__(self, seed: int, mode: Mode, *, calls: int, folder: Path | None) -> None:
        self._dice = random.Random(seed)
        self._world = World(self._dice)
        self._calls = calls
        self._folder = folder
        self._generation = 0
        self._is_rough = seed % 2 == 0 or folder is not None
        self.limit = DEAREST * self._dice.choice((10, 20, 50))
        self._ledger: Ledger = self._first_ledger()
        self._setup = Setup(
            engine_version="benchmark",
            install_key=b"k" * 32,
            prices=catalog(),
            board=BudgetBoard(budgets=tuple(root_first(self._budgets(mode)))),
        )
        self._talks: list[Talk] = []
        self._flights: list[Flight] = []
        #: calls whose attempt failed, to be tried again as they were
        self._again: list[Attempt] = []
        self._refused_in_a_row = 0
        #: the truth, and our own books of what is under way
        self._true: dict[str, int] = defaultdict(int)
        self._limits: dict[str, int] = {}
        self.result = Result()

    def _budgets(self, mode: Mode) -> list[Budget]:
        def made(name: str, scope: Any, limit: int, window: Any = "total") -> Budget:
            return Budget(
                name=name,
                scope=scope,
                limit_pico=limit,
                window=window,
                mode=mode,
                ladder=("max_tokens",) if mode == "ample" else (),
                min_tokens=256,
            )

        return [
            made("all", "everything", self.limit),
            made("day", "everything", self.limit, "day"),
            made("key", "key", self.limit // 2),
            made("task", "tree", self.limit // 4),
        ]

    def _first_ledger(self) -> Ledger:
        if self._folder is None:
            return MemoryLedger()
        return SqliteLedger(self._folder / "0" / "ledger.db", gather_seconds=0.05)

    def _die(self) -> None:
        """The process is killed, and another one starts."""
        self.result.crashes += 1
        self._flights = []
        if isinstance(self._ledger, MemoryLedger):
            self._ledger = MemoryLedger(list(self._ledger.rows(RowFilter())))
        else:
            assert self._folder is not None
            before = self._folder / str(self._generation)
            self._generation += 1
            after = self._folder / str(self._generation)
            self._ledger.flush()  # the file at rest; what the journal alone holds is tested apart
            shutil.copytree(before, after, ignore=shutil.ignore_patterns("*.lock"))
            self._ledger.close()
            shutil.rmtree(before)
            self._ledger = SqliteLedger(after / "ledger.db", gather_seconds=0.05)
        self._ledger.recover(self._world.now())

    @property
    def _ports(self) -> Ports:
        return Ports(ledger=self._ledger, clock=self._world, decoding=lambda _: None)

    def play(self) -> Result:
        """All calls, then their ends, then the books."""
        while self._goes_on() or self._flights:
            while self._goes_on() and len(self._flights) < CONCURRENCY:
                if self._again and self._dice.random() < 0.5:
                    self._take_off(self._again.pop())
                else:
                    self._begin()
            if self._flights:
                self._advance(self._dice.randrange(len(self._flights)))
            if self._is_rough and self._dice.random() < 0.2 / self._calls:
                self._die()
        return self._closed()

    def _goes_on(self) -> bool:
        """So many calls, and until nothing has been let in for a while."""
        return self.result.calls < self._calls or self._refused_in_a_row < _IN_A_ROW

    def _begin(self) -> None:
        dice = self._dice
        if len(self._talks) < 40 or dice.random() < 0.1:
            talk = Talk(name=f"t{self.result.calls}", key=f"k{dice.randrange(3)}")
            talk.say(dice, int(dice.lognormvariate(7.2, 0.8)) % 12_000)
            self._talks = [*self._talks[-39:], talk]
        talk = dice.choice(self._talks)
        asked = dice.choice(MAX_TOKENS)
        is_stream = dice.random() < 0.5
        body = json.dumps(
            {
                "model": MODEL,
                "max_tokens": asked,
                "stream": is_stream,
                "messages": talk.messages,
                **({"cache_control": {"type": "ephemeral"}} if dice.random() < 0.5 else {}),
            }
        ).encode()
        self._take_off(Attempt(talk, body, talk.tokens, asked, is_stream))

    def _take_off(self, attempt: Attempt) -> None:
        dice, talk, body, asked = self._dice, attempt.talk, attempt.body, attempt.asked
        self.result.calls += 1
        call = Call(
            exchange_id=f"ex_{self.result.calls}",
            method="POST",
            path="/v1/messages",
            headers={"x-api-key": talk.key, "x-farthing-task": talk.name},
            received=Moment(self._world.now(), self._world.monotonic_ns()),
            body=body,
        )
        conversation = converse(call, self._setup)
        output = min(asked, 1 + int(dice.lognormvariate(math.log(asked / 6), 1.2)))
        flight = Flight(
            attempt=attempt,
            conversation=conversation,
            effect=next(conversation),
            usage=usage_of(dice, attempt.tokens, output, is_marked=b"cache_control" in body),
            fails=self._is_rough and dice.random() < 0.03,
        )
        self._flights.append(flight)

    def _advance(self, index: int) -> None:
        flight = self._flights[index]
        if self._is_rough and self._dice.random() < 0.002:
            self.result.cancelled += 1
            interrupt(flight.conversation, self._ports)
            del self._flights[index]
            return
        try:
            reply = self._perform(flight)
            flight.effect = flight.conversation.send(reply)
        except StopIteration:
            self._end(index)

    def _perform(self, flight: Flight) -> object:
        effect = flight.effect
        match effect:
            case Reserve():
                return self._reserve(flight, effect)
            case Send(body):
                self._sent(flight, body)
                if flight.fails:
                    return Head(529, PLAIN, 0, 0)
                return Head(200, EVENTS if flight.attempt.is_stream else PLAIN, 0, 0)
            case Read(tap, _):
                raw = b'{"type":"error"}' if flight.fails else message_of(flight.usage)
                tap.feed(raw)
                at = Moment(self._world.now(), self._world.monotonic_ns())
                return Body(raw, is_whole=True, at=at)
            case Relay(tap):
                chunks = stream_of(flight.usage)
                is_cut = self._is_rough and self._dice.random() < 0.01
                for chunk in chunks[:1] if is_cut else chunks:
                    tap.feed(chunk)
                return True
            case Deliver():
                return None
            case Wait():
                return False
            case Settle():
                flight.worst = {}  # booked from here on, though its conversation goes on
                return perform(effect, self._ports)
            case _:
                return perform(effect, self._ports)

    def _sent(self, flight: Flight, body: bytes) -> None:
        """From here on it costs, whether we hear of it or not."""
        asked = json.loads(body)["max_tokens"]
        usage = flight.usage
        flight.usage = Usage(
            uncached=usage.uncached,
            cache_write_5m=usage.cache_write_5m,
            cache_read=usage.cache_read,
            output=min(usage.output, asked),
        )
        flight.is_sent = True
        if not flight.fails:
            cost = price(flight.usage, CARD).total
            for key in flight.keys:
                self._true[key] += cost
                over = (self._true[key] - self._limits[key]) / self._limits[key]
                self.result.overshoot = max(self.result.overshoot, over)

    def _reserve(self, flight: Flight, effect: Reserve) -> object:
        reply = perform(effect, self._ports)
        claims = effect.reservation.claims
        if isinstance(reply, Admitted):
            self._refused_in_a_row = 0
            flight.keys = tuple(claim.key for claim in claims)
            flight.worst = {claim.key: claim.worst_pico for claim in claims}
            self._limits.update({claim.key: claim.limit_pico for claim in claims})
            self.result.negative += sum(each.held_pico < 0 for each in reply.standings)
        elif isinstance(reply, Denied):
            self.result.refused += 1
            self._refused_in_a_row += 1
            self.result.phantom_refusals += self._is_phantom(reply)
        return reply

    def _is_phantom(self, denied: Denied) -> bool:
        """By our own books: what is booked, and the worst cases of all that is under way."""
        key = denied.claim.key
        spent, _ = self._ledger.spent_and_held(key)
        under_way = sum(each.worst.get(key, 0) for each in self._flights)
        return spent + under_way + denied.claim.worst_pico <= denied.claim.limit_pico

    def _end(self, index: int) -> None:
        flight = self._flights.pop(index)
        if flight.fails and flight.is_sent:
            self._again.append(flight.attempt)
        talk = flight.attempt.talk
        if not flight.fails and flight.is_sent and len(talk.messages) < 40:
            talk.say(self._dice, self._dice.randint(20, 400))
            talk.say(self._dice, self._dice.randint(20, 1_500))

    def _closed(self) -> Result:
        """The books at the end: what the ledger says against its own rows."""
        charged: dict[str, int] = defaultdict(int)
        for row in self._ledger.rows(RowFilter()):
            ending = row.settlement
            assert ending is not None, "an exchange was left open"
            cost = ending.high_pico if ending.cost is None else ending.cost.total
            for key in row.opened.budget_keys:
                charged[key] += cost or 0
        for key in self._limits:
            self.result.unbalanced += self._ledger.spent_and_held(key) != (charged[key], 0)
        whole = "everything@total"
        self.result.utilisation = charged[whole] / self.limit
        if not self._is_rough:
            self.result.utilisation_true = self._true[whole] / self.limit
        self._ledger.close()
        return self.result


def measure(
    *, runs: int, calls: int, seed: int, told: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """All runs, and the figures of the worst of them."""
    with tempfile.TemporaryDirectory() as folder:
        strict = Run(seed, "strict", calls=calls, folder=Path(folder) / "strict").play()
        told(f"strict: {strict}")
        ample = [Run(seed + 1, "ample", calls=calls, folder=Path(folder) / "ample").play()]
    ample += [
        Run(seed + 2 + number, "ample", calls=max(1_000, calls // 10), folder=None).play()
        for number in range(runs - 1)
    ]
    everything = [strict, *ample]
    true = [each.utilisation_true for each in ample if each.utilisation_true is not None]
    return {
        "runs": len(everything),
        "calls": sum(each.calls for each in everything),
        "refused": sum(each.refused for each in everything),
        "cancelled": sum(each.cancelled for each in everything),
        "crashes": sum(each.crashes for each in everything),
        "overshoot": max(each.overshoot for each in everything),
        "overshoot_strict": strict.overshoot,
        "overshoot_ample": max(each.overshoot for each in ample),
        "utilisation": min(each.utilisation for each in ample),
        "utilisation_mean": sum(each.utilisation for each in ample) / len(ample),
        "utilisation_true": min(true) if true else None,
        "utilisation_strict": strict.utilisation,
        "phantom_refusals": sum(each.phantom_refusals for each in everything),
        "negative_holds": sum(each.negative for each in everything),
        "unbalanced": sum(each.unbalanced for each in everything),
    }


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=200, help="seeded runs in ample")
    parser.add_argument("--calls", type=int, default=10_000, help="calls of a long run")
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--json", action="store_true", help="one object on the last line")
    args = parser.parse_args()
    found = measure(runs=args.runs, calls=args.calls, seed=args.seed, told=print)
    print("\n".join(f"{name:20} {value}" for name, value in found.items()))
    if args.json:
        print(json.dumps(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
