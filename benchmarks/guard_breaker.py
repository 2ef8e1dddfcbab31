"""What circuit breakers cost: a call while nothing is open, and each refusal of a storm.

The calls run through the real exchange without a network, so the figures are farthing's own part.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from statistics import median

import msgspec

from farthing.core.breaker import Breakers
from farthing.core.breaker_values import BreakerRules, Outcome, breaker_keys
from farthing.core.exchange import converse
from farthing.core.exchange_breaker import Entry, enter, judge
from farthing.core.exchange_call import Call, Moment
from farthing.core.exchange_effects import ClientHead, Deliver, Head
from farthing.core.exchange_prepare import Setup, prepare
from farthing.core.exchange_settle import Progress, Verdict
from farthing.pricing import Cost, catalog

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
KEY = b"k" * 32
ROUNDS = 7


def call(size: int) -> Call:
    """A call of about so many bytes."""
    body = (
        b'{"model":"claude-haiku-4-5","max_tokens":9,"messages":[{"role":"user","content":"%b"}]}'
    )
    return Call(
        exchange_id="ex_1",
        method="POST",
        path="/v1/messages",
        headers={"x-api-key": "sk-bench"},
        received=Moment(NOON, 10**12),
        body=body % (b"a" * size),
    )


def timed(step: Callable[[int], object], times: int) -> float:
    """Microseconds of one step: the median of some rounds."""
    found = list[float]()
    for _ in range(ROUNDS):
        began = time.perf_counter_ns()
        for number in range(times):
            step(number)
        found.append((time.perf_counter_ns() - began) / times / 1_000)
    return median(found)


def closed_us(settings: str | None) -> float:
    """What a good call costs on its way in and at its end."""
    rules = BreakerRules(velocity_pico=10**18 if settings == "velocity" else None)
    breakers = Breakers(rules)
    setup = Setup(engine_version="1", install_key=KEY, prices=catalog(), breakers=breakers)
    asked = msgspec.structs.replace(call(100), headers={"x-farthing-task-type": "triage"})
    prepared = prepare(asked, setup)
    head = Head(200, (), 0, 0)
    verdict = Verdict(state="settled", cost=Cost())

    def step(number: int) -> None:
        entry = enter(asked, setup)
        assert isinstance(entry, Entry)
        progress.allowed = entry.allowed
        judge(progress, verdict, moments[number % 100], setup, breakers)

    progress = Progress(call=asked, prepared=prepared, head=head)
    moments = [Moment(NOON, 10**12 + number * 10**9) for number in range(100)]
    return timed(step, 20_000)


def storm(size: int) -> Setup:
    """One call whose circuit is open."""
    rules = BreakerRules(cool_seconds=1e6)
    setup = Setup(engine_version="1", install_key=KEY, prices=catalog(), breakers=Breakers(rules))
    breakers, asked = setup.breakers, call(size)
    assert breakers is not None
    prepared = prepare(asked, setup)
    key = breaker_keys(prepared.attribution.key_scope, None, prepared.body_digest)[-1]
    for _ in range(rules.repeats):
        breakers.record(key, Outcome(kind="refused", what="budget.refused"), asked.received)
    assert breakers.open_calls
    return setup


def refusal_us(size: int) -> float:
    """One more repetition of a call that is stopped."""
    setup, asked = storm(size), call(size)

    def step(_number: int) -> None:
        (effect,) = converse(asked, setup)
        assert isinstance(effect, Deliver)
        assert isinstance(effect.part, ClientHead)

    return timed(step, 5_000)


def storm_of(times: int) -> dict[str, float]:
    """A whole storm: seconds, growth of memory, circuits."""
    setup, asked = storm(100), call(100)
    breakers = setup.breakers
    assert breakers is not None
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    for _ in range(times):
        for _effect in converse(asked, setup):
            pass
    seconds = time.perf_counter() - began
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {
        "repetitions": times,
        "seconds": round(seconds, 2),
        "grown_kb": grown,
        "circuits": len(breakers),
        "refused": sum(breakers.refused.values()),
    }


def main(given: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=1_600_000, help="repetitions of the storm")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    options = parser.parse_args(given)
    found = {
        "closed_us": round(closed_us(None), 2),
        "closed_velocity_us": round(closed_us("velocity"), 2),
        "refusal_us_1_kb": round(refusal_us(1_000), 1),
        "refusal_us_100_kb": round(refusal_us(100_000), 1),
        "storm": storm_of(options.times),
    }
    print(f"a call, nothing open      {found['closed_us']} µs")
    print(f"with a limit on speed     {found['closed_velocity_us']} µs")
    print(f"a refusal, body of 1 kB   {found['refusal_us_1_kb']} µs")
    print(f"a refusal, body of 100 kB {found['refusal_us_100_kb']} µs")
    whole = found["storm"]
    print(f"a storm                   {whole}")
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
