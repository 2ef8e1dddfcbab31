"""``farthing emulate``: a stand-in for the Claude API on a loopback port, in the foreground."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from farthing.lab.emulator import Emulator, Settings
from farthing.lab.emulator.latency import PROFILES, find_profile
from farthing.lab.emulator.script import load_lines
from farthing.lab.emulator.server import listen, require_server, serve_forever
from farthing.lab.emulator.settings import TIERS

__all__ = ["HELP", "add_arguments", "run"]

HELP = "Serve a stand-in for the Claude API on loopback: no key, no bill"

_KEY = "sk-emu-default"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add = parser.add_argument
    add("--port", type=int, default=8788, help="loopback port; 0 takes a free one (default 8788)")
    add("--script", type=Path, help="scripted answers: JSONL, one turn a line")
    add("--rules", type=Path, help="answers by what is asked: a JSON list or JSONL")
    add(
        "--clock",
        choices=("real", "virtual"),
        default="real",
        help="virtual: time moves only by POST /emulator/clock, waiting costs nothing",
    )
    add("--seed", type=int, default=0, help="what the agent says where nothing is scripted")
    add("--latency", choices=tuple(PROFILES), default="instant", help="how long answers take")
    add("--tier", choices=TIERS, default="unlimited", help="whose rate limits apply")
    add(
        "--accept-foreign-thinking",
        action="store_true",
        help="take thinking blocks that the emulator did not sign (recorded histories)",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM."""
    require_server()
    engine = Emulator(_settings(args))
    if args.script:
        engine.load_script(load_lines(args.script))
    if args.rules:
        engine.load_rules(load_lines(args.rules))
    listener = listen(args.port)
    print(f"export ANTHROPIC_BASE_URL=http://127.0.0.1:{listener.getsockname()[1]}")
    print(f"export ANTHROPIC_API_KEY={_KEY}", flush=True)
    serve_forever(engine, listener)
    print(_summary(engine), file=sys.stderr)
    return 0


def _settings(args: argparse.Namespace) -> Settings:
    return Settings(
        seed=args.seed,
        clock=args.clock,
        tier=args.tier,
        latency=find_profile(args.latency),
        accept_foreign_thinking=args.accept_foreign_thinking,
    )


def _summary(engine: Emulator) -> str:
    lines = engine.books.lines
    output = sum(line.bill.output for line in lines)
    read = sum(line.bill.accounting.read for line in lines)
    prompt = sum(line.bill.accounting.total for line in lines)
    return f"served {len(lines)} calls: prompt {prompt:,} ({read:,} read), output {output:,} tokens"
