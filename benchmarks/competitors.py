"""Input dollars beside other ways to cache: one workload, one emulator each, one price list.

    python benchmarks/competitors.py [--data DIR] [--ours POLICY] [--ttl 5m|1h] [--model MODEL]
                                     [--calls N] [--seed N] [--class NAME] [--json]

Per class of conversation, every contestant sends the same requests at the same times: the
provider's automatic mode, LangChain's caching middleware and LiteLLM's injection points by their
real code in environments of their own, farthing's policies by the replay. The application itself
marks nothing. The others ask for their own default lifetime, five minutes; ``--ttl 1h`` tells them
otherwise. The emulator bills; its usage is priced by farthing's cards. A contestant that is not
installable here is named and left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a program, from anywhere

from benchmarks.competitors_clients import CLIENTS, Failed, Policed, Sender, open_client
from benchmarks.required import DATA
from farthing.core.prefix import Ttl
from farthing.lab.emulator import RunningEmulator, Settings, emulator
from farthing.lab.optimum import optimum
from farthing.lab.replay import POLICIES, Replayed, Turn, find_policy, read_turns
from farthing.lab.replay.bills import Bill, Prices
from farthing.lab.replay.policies import AutoCache
from farthing.lab.scenarios import SCENARIOS, generate
from farthing.pricing import catalog, dump_usd, show_usd
from farthing.traces.format import Conversation
from farthing.traces.importing import Import, import_paths

__all__ = ["OURS", "Result", "classes", "compare", "main"]

TAU: Final = "traces/tau2-bench.jsonl.gz"
MODEL: Final = "claude-opus-5-5"

#: what is compared with the others: the engine's default profile
OURS: Final = "safe"
_OTHERS: Final = ("no-cache", "auto-cache", *CLIENTS)


@dataclass(slots=True, kw_only=True)
class Result:
    """One class of conversation under every contestant."""

    name: str
    ours: str
    calls: int
    optimum_pico: int
    bills: dict[str, Bill] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def cost(self, contestant: str) -> int | None:
        """Its input in 10⁻¹² USD; None: it did not take part."""
        bill = self.bills.get(contestant)
        return None if bill is None else bill.input_cost

    @property
    def is_never_worse(self) -> bool | None:
        """Did ours cost at most what each of the others did? None: ours did not take part."""
        ours = self.cost(self.ours)
        others = [cost for name in _OTHERS if (cost := self.cost(name)) is not None]
        return None if ours is None else all(ours <= cost for cost in others)

    def figures(self) -> dict[str, Any]:
        """What a machine reads."""
        return {
            "class": self.name,
            "calls": self.calls,
            "optimum_usd": dump_usd(self.optimum_pico),
            "ours": self.ours,
            "input_usd": {name: dump_usd(self.cost(name) or 0) for name in self.bills},
            "not_measured": self.absent,
            "never_worse": self.is_never_worse,
        }


def compare(
    name: str, turns: Sequence[Turn], versions: dict[str, str], *, ours: str, ttl: Ttl = "5m"
) -> Result:
    """One class under every contestant that is there."""
    prices = Prices(catalog())
    bound = optimum(turns, prices).upgraded_pico
    result = Result(name=name, ours=ours, calls=len(turns), optimum_pico=bound)
    for contestant in dict.fromkeys((*_OTHERS, ours)):
        try:
            with _opened(contestant, ttl) as sender:
                versions.update(sender.versions)
                result.bills[contestant] = _bill(turns, sender, prices)
        except Failed as failure:
            result.absent[contestant] = str(failure)
    return result


@contextmanager
def _opened(contestant: str, ttl: Ttl) -> Iterator[Sender]:
    settings = Settings(accept_foreign_thinking=True, requests_kept=1)
    with emulator(settings) as emu:
        if contestant in CLIENTS:
            with open_client(CLIENTS[contestant], emu, ttl) as sender:
                yield sender
        else:
            yield _policed(contestant, emu, ttl)


def _policed(name: str, emu: RunningEmulator, ttl: Ttl) -> Sender:
    if name == "auto-cache":
        return Policed(emu, AutoCache(ttl=ttl))
    if name not in POLICIES:
        raise Failed(f"there is no policy {name!r} in this version")
    return Policed(emu, find_policy(name))


def _bill(turns: Sequence[Turn], sender: Sender, prices: Prices) -> Bill:
    bill = Bill()
    for turn in turns:
        bill.add(Replayed(turn=turn, usage=sender.send(turn)), prices)
    return bill


def classes(data: Path, model: str, calls: int, seed: int = 7) -> Iterator[tuple[str, list[Turn]]]:
    """Each class with the first calls of its workload; the client's own marks are taken off."""
    for name in SCENARIOS:
        yield name, _unmarked(generate(f"scenario:{name}", seed=seed), model, calls)
    if (data / TAU).exists():
        yield "tau2-bench", _unmarked(import_paths([data / TAU], Import()), model, calls)


def _unmarked(conversations: Any, model: str, calls: int) -> list[Turn]:
    """Whole conversations, as many as have at most so many calls together."""
    kept: list[Conversation] = []
    left = calls
    for conversation in conversations:
        left -= len(conversation.calls)
        if left < 0 and kept:
            break
        kept.append(conversation)
    return [replace(turn, recorded_marks=()) for turn in read_turns(kept, model=model)]


def main() -> None:
    """Parse arguments, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Raw)
    parser.add_argument("--data", type=Path, default=DATA, help="adds tau2-bench where it is")
    parser.add_argument("--ours", default=OURS, metavar="POLICY", help=f"of replay; {OURS}")
    parser.add_argument("--ttl", choices=("5m", "1h"), default="5m", help="of the others; 5m")
    parser.add_argument("--model", default=MODEL, help=f"all are sent as and priced as; {MODEL}")
    parser.add_argument("--calls", type=int, default=300, help="of a class, about; default 300")
    parser.add_argument("--seed", type=int, default=7, help="of the scenarios; default 7")
    parser.add_argument("--class", action="append", dest="names", metavar="NAME")
    parser.add_argument("--json", action="store_true", help="figures as the last line")
    arguments = parser.parse_args()
    versions: dict[str, str] = {}
    results = []
    _print_head(arguments.ours)
    for name, turns in _asked(arguments):
        results.append(compare(name, turns, versions, ours=arguments.ours, ttl=arguments.ttl))
        _print_row(results[-1])
    _print_foot(results, versions, arguments.model)
    if arguments.json:
        print(json.dumps({"versions": versions, "classes": [one.figures() for one in results]}))


def _asked(arguments: argparse.Namespace) -> Iterator[tuple[str, list[Turn]]]:
    found = classes(arguments.data, arguments.model, arguments.calls, arguments.seed)
    return (each for each in found if arguments.names is None or each[0] in arguments.names)


def _print_head(ours: str) -> None:
    names = "".join(f"{name:>12}" for name in (*_OTHERS, ours, "optimum"))
    print(f"{'class':20}{'calls':>6}{names}   never worse")


def _print_row(result: Result) -> None:
    costs = [*(result.cost(name) for name in (*_OTHERS, result.ours)), result.optimum_pico]
    cells = "".join(f"{'–' if cost is None else show_usd(cost, 4):>12}" for cost in costs)
    verdict = {True: "yes", False: "NO", None: "–"}[result.is_never_worse]
    print(f"{result.name:20}{result.calls:>6}{cells}   {verdict}", flush=True)


def _print_foot(results: Sequence[Result], versions: dict[str, str], model: str) -> None:
    print(f"\ninput dollars of {model}, output left out; optimum: without pings, upgraded")
    print("versions: " + ", ".join(f"{name} {number}" for name, number in sorted(versions.items())))
    for name, reason in sorted({pair for one in results for pair in one.absent.items()}):
        print(f"not measured: {name}: {reason}")


class _Raw(argparse.RawDescriptionHelpFormatter):
    """Keeps the command line in the docstring on its own line."""


if __name__ == "__main__":
    main()
