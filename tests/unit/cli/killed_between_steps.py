"""Kills a process between any two steps that `farthing install claude` takes on disk.

Run by ``test_install.py`` as a program, because it forks: ``killed_between_steps.py FOLDER``. It
prints one JSON object: how many kills there were, and what was wrong after which. A step is a call
of ``os`` that changes something; each child is killed before one of them, and half way through each
write.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from farthing.cli.main import main

STEPS = ("open", "write", "fsync", "fchmod", "fchown", "close", "replace", "unlink", "mkdir")
OLD = b'{\n    "model": "opus",\n    "env": {\n        "ANTHROPIC_BASE_URL": "http://old"}}\n'

States = dict[str, tuple[int, bytes | str]]


def starts() -> Iterator[tuple[str, Callable[[Path], None]]]:
    """What there may be before: nothing, a file, a link to one."""

    def file(folder: Path, name: str = "settings.json") -> Path:
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(OLD)
        (folder / name).chmod(0o640)
        return folder / name

    def plain(folder: Path) -> None:
        file(folder)

    def link(folder: Path) -> None:
        target = file(folder, "dotfiles.json")
        (folder / "settings.json").symlink_to(target.name)

    yield "nothing", lambda folder: None
    yield "file", plain
    yield "link", link


def killed_before(number: int, words: list[str]) -> bool:
    """Run a command in a child and kill it before its step ``number``; did it get that far?"""
    child = os.fork()
    if child == 0:
        die_before(number)
        with contextlib.redirect_stdout(io.StringIO()):
            code = main(words)
        os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0, words
    return os.WIFSIGNALED(status)


def die_before(number: int) -> None:
    left = number

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **named: Any) -> Any:
            nonlocal left
            if left == 0:
                if name == "write":  # half of it
                    real(args[0], args[1][: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return real(*args, **named)

        return step

    for name in STEPS:
        setattr(os, name, counted(name, getattr(os, name)))


def state(folder: Path) -> States:
    """Every file and link with its permissions and content."""
    found: States = {}
    for path in sorted(folder.rglob("*")) if folder.exists() else []:
        content = str(path.readlink()) if path.is_symlink() else path.read_bytes()
        found[path.name] = (path.lstat().st_mode & 0o7777, content)
    return found


def settings(folder: Path) -> bytes | None:
    path = folder / "settings.json"
    return path.read_bytes() if path.exists() else None


def quietly(*words: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(list(words)) == 0


def trial(folder: Path, make: Callable[[Path], None], way: str, number: int) -> list[str] | None:
    """What is wrong after one kill; None: the command ended before step ``number``."""
    shutil.rmtree(folder, ignore_errors=True)
    make(folder)
    before, old = state(folder), settings(folder)
    if way != "install":
        quietly("install", "claude")
    command = ["uninstall", "claude"] if way == "uninstall" else ["install", "claude"]
    command += ["--port", "9999"] if way == "again" else []
    was_killed = killed_before(number, command)
    now, faults = settings(folder), []
    if now != old and b"http://127.0.0.1:" not in (now or b""):
        faults.append("the settings are neither old nor new")
    if number % 2:  # whoever is interrupted may also try again first
        quietly("install", "claude")
    quietly("uninstall", "claude")
    if state(folder) != before:
        faults.append(f"{state(folder)} instead of {before}")
    return faults if was_killed else None


def run(folder: Path) -> dict[str, Any]:
    kills, faults = 0, []
    os.environ["CLAUDE_CONFIG_DIR"] = str(folder)
    for name, make in starts():
        for way in ("install", "again", "uninstall"):
            number = 0
            while (wrong := trial(folder, make, way, number)) is not None:
                faults += [f"{name}, {way}, step {number}: {fault}" for fault in wrong]
                kills, number = kills + 1, number + 1
    return {"kills": kills, "faults": faults}


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]))))
