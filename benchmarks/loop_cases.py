"""Conversations with loops put in, and with what only looks like one: seeded, from real traces.

Each case is the beginning of a recorded conversation, cut at a random answer, followed by turns of
one class. Calls and results of the loops are the recorded ones; what varies in them is said at each
class. So the rate of what is found is a rate for *these* insertions, not for loops in the wild.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

__all__ = ["CLASSES", "FILES", "Case", "Messages", "Writer", "load", "make_cases"]

FILES = (
    "claude-code-main",
    "claude-code-subagents",
    "swe-bench-mini",
    "tau2-bench",
    "tau-bench-airline",
)
Messages = list[dict[str, Any]]
#: recorded tools that wait by contract: repeating them is polling
WAITING = ("TaskOutput", "BashOutput")
#: tools that only look, where the arguments are made up
LOOKING = ("search_code", "query_logs", "inspect_state", "read_page")


@dataclass(frozen=True, slots=True)
class Case:
    kind: str
    is_loop: bool
    messages: Messages
    #: index of the first message put in
    since: int


def load(data: Path) -> Iterator[tuple[str, str, Messages]]:
    """File, id and messages of each recorded conversation."""
    for name in FILES:
        with gzip.open(data / "traces" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                yield name, row["id"], row["messages"]


class Writer:
    """Appends turns to a beginning."""

    def __init__(self, beginning: Messages, dice: Random) -> None:
        self.messages = list(beginning)
        self.since = len(beginning)
        self.dice = dice

    def turn(
        self, tool: str, arguments: dict[str, Any], result: str, *, fails: bool = False
    ) -> None:
        use_id = f"toolu_{self.dice.getrandbits(96):024x}"
        use = {"type": "tool_use", "id": use_id, "name": tool, "input": arguments}
        back: dict[str, Any] = {"type": "tool_result", "tool_use_id": use_id, "content": result}
        if fails:
            back["is_error"] = True
        self.messages += [
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [back]},
        ]


def sample(messages: Messages, dice: Random, *, words: int = 1) -> tuple[str, dict[str, Any], str]:
    """A recorded call whose result says something, in at least so many words if there is one."""
    calls = list(_calls(messages))
    long = [call for call in calls if len(call[2].split()) >= words]
    return dice.choice(long or calls)


def _calls(messages: Messages) -> Iterator[tuple[str, dict[str, Any], str]]:
    results = {}
    for message in messages:
        for block in message["content"] if isinstance(message["content"], list) else ():
            if block["type"] == "tool_result":
                results[block["tool_use_id"]] = block
    for message in messages:
        for block in message["content"] if isinstance(message["content"], list) else ():
            if (
                block["type"] == "tool_use"
                and block["id"] in results
                and block["name"] not in WAITING
            ):
                text = results[block["id"]].get("content")
                if isinstance(text, str) and 150 <= len(text) <= 20_000:
                    yield block["name"], block["input"], text


def stamp(dice: Random) -> str:
    """A line as programs print it: time, duration, process, request."""
    when = f"2026-11-{dice.randrange(1, 28):02d}T{dice.randrange(24):02d}:{dice.randrange(60):02d}"
    return (
        f"{when}:{dice.randrange(60):02d}.{dice.randrange(1000):03d}Z "
        f"pid={dice.randrange(1, 65536)} took {dice.random() * 9:.2f}s "
        f"request {dice.getrandbits(64):016x}\n"
    )


def exact(writer: Writer) -> None:
    """1 to 4 recorded calls, 6 to 12 times, word for word."""
    calls = [sample(writer.messages, writer.dice) for _ in range(writer.dice.randrange(1, 5))]
    for _ in range(writer.dice.randrange(6, 13)):
        for call in calls:
            writer.turn(*call)


def timestamped(writer: Writer) -> None:
    """The same, each result with a line of time, duration, process and request id."""
    call = sample(writer.messages, writer.dice)
    tool, arguments, result = call
    for _ in range(writer.dice.randrange(6, 13)):
        writer.turn(tool, arguments, stamp(writer.dice) + result + "\n" + stamp(writer.dice))


def paraphrased(writer: Writer) -> None:
    """One question in ever other words, one and the same answer, sometimes with a line less."""
    call = sample(writer.messages, writer.dice)
    tool, result = writer.dice.choice(LOOKING), call[2]
    words = "find locate where definition of the retry handler in this module please main".split()
    lines = result.split("\n")
    for _ in range(writer.dice.randrange(8, 15)):
        query = " ".join(writer.dice.sample(words, 6))
        shown = lines
        if len(lines) > 30 and writer.dice.random() < 0.3:
            gone = writer.dice.randrange(len(lines))
            shown = lines[:gone] + lines[gone + 1 :]
        writer.turn(tool, {"query": query, "limit": writer.dice.randrange(5, 50)}, "\n".join(shown))


def abab(writer: Writer) -> None:
    """Two recorded calls in turn, 6 to 12 times."""
    one, other = (sample(writer.messages, writer.dice) for _ in range(2))
    for _ in range(writer.dice.randrange(6, 13)):
        for call in (one, other):
            writer.turn(*call)


def drift(writer: Writer) -> None:
    """Arguments that count up, and a result of 60 words or more of which one changes each time."""
    call = sample(writer.messages, writer.dice, words=60)
    tool, result = writer.dice.choice(LOOKING), call[2]
    words = result.split(" ")
    for step in range(writer.dice.randrange(8, 15)):
        at = writer.dice.randrange(len(words))
        words[at] = f"w{step}"
        writer.turn(tool, {"target": "state", "attempt": step}, " ".join(words))


def polling(writer: Writer) -> None:
    """Sleep, look, sleep, look: the same until it is done."""
    seconds = writer.dice.choice((5, 10, 30, 60))
    for _ in range(writer.dice.randrange(4, 21)):
        writer.turn("Bash", {"command": f"sleep {seconds}"}, "")
        writer.turn(
            "Bash", {"command": "gh pr checks 41"}, "build  pending  0  https://ci/41\n" * 4
        )
    writer.turn("Bash", {"command": "gh pr checks 41"}, "build  pass  4m12s  https://ci/41\n" * 4)


def waiting(writer: Writer) -> None:
    """A tool that waits by its name, and says that the job still runs."""
    tool = writer.dice.choice(("TaskOutput", "wait_for_job", "poll_build"))
    for _ in range(writer.dice.randrange(4, 21)):
        writer.turn(
            tool, {"id": "b41", "block": True}, "still running; no new output since last time" * 2
        )
    writer.turn(tool, {"id": "b41", "block": True}, "finished with exit code 0")


def pagination(writer: Writer) -> None:
    """The pages of one list: the same form, other rows."""
    for page in range(1, writer.dice.randrange(6, 20)):
        rows = [
            {
                "id": writer.dice.getrandbits(40),
                "name": "".join(writer.dice.choices("abcdefghijklmnoprstuvw", k=9)),
                "amount": writer.dice.randrange(10_000),
                "state": writer.dice.choice(("open", "closed", "merged")),
            }
            for _ in range(20)
        ]
        writer.turn("list_orders", {"page": page}, json.dumps({"page": page, "rows": rows}))


def retries(writer: Writer) -> None:
    """Something fails for a while (a time-out, a 503) and works at the third or fourth attempt."""
    fault = writer.dice.choice(("Error: request timed out", "Error: 503 Service Unavailable"))
    for page in range(3):
        for _ in range(writer.dice.randrange(2, 4)):
            writer.turn("http_get", {"url": f"https://h/{page}"}, fault, fails=True)
        text = " ".join(writer.dice.choices(["alpha", "beta", "gamma", "delta", "eps"], k=60))
        writer.turn("http_get", {"url": f"https://h/{page}"}, stamp(writer.dice) + text)


def test_fix(writer: Writer) -> None:
    """Edit, test, edit, test: it goes on failing in nearly the same words until it passes."""
    failing = "FAILED tests/test_a.py::test_b - AssertionError: assert 1 == 2\n" * 6
    for step in range(writer.dice.randrange(4, 9)):
        edit = {"file_path": "src/a.py", "old_string": f"v{step}", "new_string": f"v{step + 1}"}
        writer.turn("Edit", edit, "The file src/a.py has been updated successfully.")
        writer.turn("Bash", {"command": "pytest -q"}, failing + f"1 failed in {step}.31s")
    writer.turn("Bash", {"command": "pytest -q"}, "57 passed in 3.2s")


#: class → how it is written, and whether it is a loop
CLASSES: dict[str, tuple[Callable[[Writer], None], bool]] = {
    "exact": (exact, True),
    "timestamped": (timestamped, True),
    "paraphrased": (paraphrased, True),
    "a-b-a-b": (abab, True),
    "slow-drift": (drift, True),
    "polling": (polling, False),
    "waiting tool": (waiting, False),
    "pagination": (pagination, False),
    "retries": (retries, False),
    "test-fix": (test_fix, False),
}


def make_cases(histories: list[Messages], *, each: int, seed: int) -> Iterator[Case]:
    """``each`` cases of every class."""
    dice = Random(seed)
    long = [messages for messages in histories if len(messages) > 12 and any(_calls(messages))]
    for kind, (write, is_loop) in CLASSES.items():
        for _ in range(each):
            while True:
                messages = dice.choice(long)
                cut = dice.randrange(8, len(messages)) // 2 * 2 + 1
                beginning = messages[:cut]
                if beginning[-1]["role"] == "user" and any(True for _ in _calls(beginning)):
                    break
            writer = Writer(beginning, dice)
            write(writer)
            yield Case(kind, is_loop, writer.messages, cut)
