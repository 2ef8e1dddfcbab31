"""``farthing trace``: what is in a trace, conversation by conversation or call by call."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from farthing.cli.table import render_table
from farthing.errors import TraceError
from farthing.lab.scripting import script_lines
from farthing.pricing import catalog, dump_usd, parse_usd, show_usd
from farthing.traces.audit.counted import CountedCall, PriceList, count_calls
from farthing.traces.blocks import content_blocks
from farthing.traces.format import Conversation
from farthing.traces.importing import Import, import_paths

__all__ = ["DESCRIPTION", "HELP", "add_arguments", "run"]

HELP: Final = "Show what is in a trace, or make it a script for the emulator"

DESCRIPTION: Final = """\
Show what is in a trace, or make it a script for the emulator.

  farthing trace show mine.jsonl.gz               one line per conversation
  farthing trace show mine.jsonl.gz claude-code/0442a060   its calls; the start of an id is enough
  farthing trace script mine.jsonl.gz -o script.jsonl      its answers, for `farthing emulate`

Any format that `farthing import` reads will do. `show` never prints texts; a script is texts."""

_WIDTH: Final = 110


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this command understands."""
    add = parser.add_argument
    add("verb", choices=("show", "script"), metavar="VERB", help="show or script")
    add("trace", type=Path, metavar="TRACE", help="a trace, or anything that can be imported")
    add("id", nargs="?", metavar="ID", help="one conversation: its id, or the start of it")
    add("--json", action="store_true", help="print JSON; money as exact decimal strings")
    add("-o", "--output", type=Path, metavar="FILE", help="where the script goes; default: here")


def run(args: argparse.Namespace) -> int:
    """Print the list or one conversation, or write the script."""
    imported = Import()
    found = import_paths([args.trace], imported)
    if args.verb == "script":
        return _script(args, imported, found)
    prices = PriceList(catalog())
    if args.id is None:
        rows = [_summary(conversation, prices) for conversation in found]
        _refuse_unread(imported, args.trace, empty=not rows)
        print(json.dumps(rows) if args.json else _list(rows))
        return 0
    for conversation in found:
        if conversation.id.startswith(args.id):
            detail = _detail(conversation, prices)
            print(json.dumps(detail) if args.json else _show(detail))
            return 0
    _refuse_unread(imported, args.trace, empty=False)
    raise TraceError(f"no conversation {args.id!r} in {str(args.trace)!r}; list them without an id")


def _script(args: argparse.Namespace, imported: Import, found: Iterator[Conversation]) -> int:
    """The recorded answers, one JSON line each."""
    lines = [
        json.dumps(line, ensure_ascii=False)
        for conversation in found
        if args.id is None or conversation.id.startswith(args.id)
        for line in script_lines(conversation)
    ]
    _refuse_unread(imported, args.trace, empty=False)
    if not lines:
        raise TraceError(f"no recorded answer in {str(args.trace)!r} to make a script of")
    text = "\n".join(lines) + "\n"
    if args.output is None:
        print(text, end="")
        return 0
    try:
        args.output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise TraceError(f"cannot write {str(args.output)!r}: {error.strerror}") from error
    print(f"{len(lines)} turns written to {args.output}; farthing emulate --script {args.output}")
    return 0


def _refuse_unread(imported: Import, path: Path, *, empty: bool) -> None:
    if empty or not imported.files:
        causes = ", ".join(sorted(imported.problems.by_cause)) or "it is empty"
        raise TraceError(f"{str(path)!r} holds no conversation ({causes})")


def _summary(conversation: Conversation, prices: PriceList) -> dict[str, Any]:
    calls = [call for call in count_calls(conversation, prices, None) if call.billed]
    costs = [call.cost.total for call in calls if call.cost]
    return {
        "id": conversation.id,
        "source": conversation.source,
        "model": conversation.model,
        "started_at": conversation.started_at,
        "segment": conversation.segment,
        "messages": len(conversation.messages),
        "calls": len(calls),
        "replayed_calls": sum(call.replayed for call in conversation.calls),
        "prompt_tokens": sum(call.prompt for call in calls),
        "output_tokens": sum(call.usage.output for call in calls if call.usage),
        "cost_usd": dump_usd(sum(costs)) if costs else None,
        "unpriced_calls": sum(call.cost is None for call in calls),
    }


def _detail(conversation: Conversation, prices: PriceList) -> dict[str, Any]:
    calls = count_calls(conversation, prices, None)
    return {
        **_summary(conversation, prices),
        "session_id": conversation.session_id,
        "agent_id": conversation.agent_id,
        "project": conversation.project,
        "ttl": conversation.ttl,
        "markers": conversation.markers,
        "prefix_pad_tokens": conversation.prefix_pad_tokens,
        "call_list": [_call(index, call) for index, call in enumerate(calls)],
        "message_list": list(_messages(conversation)),
    }


def _call(index: int, call: CountedCall) -> dict[str, Any]:
    usage = call.usage
    return {
        "call": index,
        "at": call.call.at,
        "done_at": call.call.done_at,
        "model": call.model,
        "prompt_messages": call.call.prompt_messages,
        "prompt_tokens": call.prompt if usage else None,
        "cache_read_tokens": usage.cache_read if usage else None,
        "cache_write_tokens": usage.cache_write_5m + usage.cache_write_1h if usage else None,
        "output_tokens": usage.output if usage else None,
        "cost_usd": dump_usd(call.cost.total) if call.cost else None,
        "replayed": call.call.replayed,
    }


def _messages(conversation: Conversation) -> Iterator[dict[str, Any]]:
    for index, message in enumerate(conversation.messages):
        kinds = Counter(block.name or block.type for block in content_blocks(message.content))
        yield {
            "message": index,
            "role": message.role,
            "bytes": len(bytes(message.content)),
            "blocks": dict(kinds),
        }


def _list(rows: list[dict[str, Any]]) -> str:
    cells = [
        [
            row["id"],
            row["model"] or "–",
            f"{row['calls']:,}",
            f"{row['prompt_tokens']:,}",
            _dollars(row["cost_usd"]),
        ]
        for row in rows
    ]
    headers = ["conversation", "model", "calls", "prompt tokens", "cost"]
    return render_table(headers, cells, align="llrrr", width=_WIDTH)


def _show(detail: dict[str, Any]) -> str:
    facts = (
        "id",
        "source",
        "model",
        "started_at",
        "segment",
        "project",
        "ttl",
        "prefix_pad_tokens",
    )
    lines = [f"{name.replace('_', ' '):<18} {detail[name]}" for name in facts if detail[name]]
    cells = [
        [
            str(call["call"]),
            "–" if call["at"] is None else f"{call['at']:,.1f}",
            *(_count(call[f"{name}_tokens"]) for name in ("prompt", "cache_read", "cache_write")),
            _count(call["output_tokens"]),
            "elsewhere" if call["replayed"] else _dollars(call["cost_usd"]),
        ]
        for call in detail["call_list"]
    ]
    headers = ["call", "at (s)", "prompt", "read", "written", "output", "cost"]
    return "\n".join([*lines, "", render_table(headers, cells, align="r" * 7, width=_WIDTH)])


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _dollars(amount: str | None) -> str:
    return "–" if amount is None else show_usd(parse_usd(amount), 4)
