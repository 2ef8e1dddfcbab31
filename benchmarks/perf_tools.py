"""The C mock of the Messages API and the C load generator, built into a temporary folder.

They come from outside the repository (``--perf DIR``): a mock or a load generator in Python is the
bottleneck before any gateway is.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

SOURCES: Final = ("mock.c", "lg.c", "mkbodies.py")

#: the mock's stream has 55 text deltas; with these replaced it has ten times as many events
_LONG_STREAM: Final = (("i<55;", "i<595;"), ("*ev[80]", "*ev[700]"), ("evlen[80]", "evlen[700]"))


class Tools:
    """Programs and bodies in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def body(self, size: str, *, stream: bool) -> Path:
        return self.folder / "bodies" / f"{size}{'-s' if stream else ''}.json"

    @contextmanager
    def mock(self, *, long_stream: bool = False) -> Iterator[int]:
        """A mock on a free port."""
        port = free_port()
        name = "mock_long" if long_stream else "mock"
        with process([str(self.folder / name), str(port)]):
            wait_for(port)
            yield port

    def load(
        self, port: int, body: Path, *, connections: int, seconds: float, warm: float = 0.3
    ) -> dict[str, Any]:
        """Latencies in microseconds and requests per second, closed loop."""
        command = [str(self.folder / "lg"), "-p", str(port), "-b", str(body)]
        command += ["-c", str(connections), "-d", str(seconds), "-w", str(warm)]
        run = subprocess.run(command, capture_output=True, check=True, timeout=seconds + 60)
        figures: dict[str, Any] = json.loads(run.stdout)
        return figures


def build(perf: Path, into: Path) -> Tools | None:
    """Compile; None, said loudly, where something is missing."""
    missing = [name for name in SOURCES if not (perf / name).is_file()]
    compiler = shutil.which("cc") or shutil.which("gcc")
    if missing or compiler is None:
        what = f"{', '.join(missing)} in {perf}" if missing else "a C compiler"
        print(f"SKIPPED: no {what}; give the folder of the load tools with --perf", file=sys.stderr)
        return None
    source = (perf / "mock.c").read_text()
    for old, new in _LONG_STREAM:
        source = source.replace(old, new)
    (into / "mock_long.c").write_text(source)
    compile_c(compiler, into, perf / "mock.c", "mock")
    compile_c(compiler, into, into / "mock_long.c", "mock_long")
    compile_c(compiler, into, perf / "lg.c", "lg")
    bodies = [sys.executable, str(perf / "mkbodies.py"), str(into / "bodies")]
    subprocess.run(bodies, check=True, stdout=subprocess.DEVNULL)
    return Tools(into)


def compile_c(compiler: str, into: Path, source: Path, name: str) -> None:
    command = [compiler, "-O2", "-w", "-o", str(into / name), str(source), "-lm"]
    subprocess.run(command, check=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def process(command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A child that ends with the block."""
    child = subprocess.Popen(command, text=True, **options)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(timeout=30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def wait_for(port: int, seconds: float = 60.0, child: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            has_ended = child is not None and child.poll() is not None
            if has_ended or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def tree(pid: int) -> list[int]:
    """A process and all that descend from it and still run."""
    found = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            found += tree(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Resident memory of a process, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return float("nan")
