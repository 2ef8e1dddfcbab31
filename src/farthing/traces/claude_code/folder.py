"""Where Claude Code keeps its transcripts, and in which order to read them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from farthing.traces.problems import Problems

__all__ = ["agent_id_of", "default_folders", "find_files", "reading_order"]

_SUFFIXES: Final = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".ndjson", ".ndjson.gz")


def default_folders(environment: Mapping[str, str], home: Path) -> list[Path]:
    """The client's folders that exist; ``CLAUDE_CONFIG_DIR``, a comma list, replaces them."""
    configured = environment.get("CLAUDE_CONFIG_DIR", "")
    roots = [Path(part.strip()).expanduser() for part in configured.split(",") if part.strip()]
    if not roots:
        roots = [home / ".claude", home / ".config" / "claude"]
    folders = [root if root.name == "projects" else root / "projects" for root in roots]
    return [folder for folder in folders if folder.is_dir()]


def find_files(paths: Iterable[Path], problems: Problems) -> list[Path]:
    """Every file that may hold a trace below the paths, each once, in reading order."""
    found: dict[str, Path] = {}
    for path in paths:
        if path.is_dir():
            for file in _walk(path, problems):
                found.setdefault(os.path.realpath(file), file)
        elif path.exists():
            found.setdefault(os.path.realpath(path), path)
        else:
            problems.note("missing", str(path))
    return sorted(found.values(), key=reading_order)


def reading_order(path: Path) -> tuple[bool, int, str]:
    """Sessions before sub-agents, older before newer: a copy comes after what it copied."""
    try:
        modified_at = path.stat().st_mtime_ns
    except OSError:
        modified_at = 0
    return agent_id_of(path) is not None, modified_at, str(path)


def agent_id_of(path: Path) -> str | None:
    """The sub-agent's id if the file's name says it is one's own transcript."""
    stem = path.name.partition(".")[0]
    return stem.removeprefix("agent-") if stem.startswith("agent-") else None


def _walk(folder: Path, problems: Problems) -> Iterable[Path]:
    for root, folders, files in os.walk(
        folder, onerror=lambda error: problems.note("unreadable", str(error.filename))
    ):
        folders.sort()
        for name in sorted(files):
            if name.endswith(_SUFFIXES) and not name.endswith(
                (".meta.json", "sessions-index.json")
            ):
                yield Path(root, name)
