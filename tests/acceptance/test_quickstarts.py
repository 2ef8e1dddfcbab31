"""The quickstart pages, walked literally: every block, in order, in an environment from the wheel.

A page is walked in one shell in an empty folder. A reader's machine is a Python, a Node and the
package index; `farthing` is the wheel that was built here, which is compared at the end. ``sh`` and
``console`` blocks run in the shell, and what a ``console`` block shows is compared. ``python``
blocks share one interpreter, which is started where the first of them stands. A ``ts`` block is
saved as the file that it names.
"""

from __future__ import annotations

import doctest
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

import pytest

import farthing
from tests.acceptance.clients import environments
from tests.meta.blocks import CodeBlock
from tests.meta.quickstarts import pages, walked_blocks

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

_MARK: Final = "—— block done:"
_SAVED: Final = re.compile(r"saved as (\S+)")
_SAME: Final = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_WHERE: Final = "python -c 'import farthing; print(farthing.__file__)'"
#: how long a reader takes at least to read on after a server was started
_READING_SECONDS: Final = 5.0

INTERPRETER: Final = """
import sys, traceback
names = {"__name__": "__main__"}
for path in iter(sys.stdin.readline, ""):
    code = 0
    try:
        exec(compile(open(path.strip()).read(), path.strip(), "exec"), names)
    except BaseException:
        traceback.print_exc(file=sys.stdout)
        code = 1
    print("\\n%s", code, flush=True)
""".replace("%s", _MARK)


class Walk:
    """A shell in an empty folder, and an interpreter beside it once there is Python to run."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self._shell = _started(["bash", "-e"], folder, environment)
        self._python: subprocess.Popen[str] | None = None
        self._blocks = 0

    def block(self, block: CodeBlock) -> None:
        """Execute one block; an assertion fails where it does not do what the page says."""
        self._blocks += 1
        if block.language == "ts":
            name = _SAVED.search(block.rest)
            assert name, f"line {block.line}: say `walked: saved as NAME`"
            (self.folder / name[1]).write_text(block.text, "utf-8")
        elif block.language == "python":
            path = self.folder / f"block-{self._blocks}.py"
            path.write_text(block.text, "utf-8")
            self._python = self._python or self._interpreter()
            _said(self._python, f"{path}\n")
        elif block.language == "console":
            for command, expected in _commands(block.text):
                printed = self.shell(command)
                same = doctest.OutputChecker().check_output(expected + "\n", printed, _SAME)
                assert not expected or same, f"{command}\n{printed}\ninstead of\n{expected}"
        else:
            self.shell(block.text)
            if re.search(r"&\s*$", block.text, re.MULTILINE):
                time.sleep(_READING_SECONDS)

    def shell(self, text: str) -> str:
        """What a command prints; it must not fail."""
        # The commands have no input: theirs would be the rest of what this shell is told.
        return _said(self._shell, f"{{\n{text}\n}} </dev/null\nprintf '\\n{_MARK} %s\\n' $?\n")

    def end(self) -> None:
        """End what was started here, servers in the background included."""
        for process in (self._python, self._shell):
            if process is not None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                for stream in (process.stdin, process.stdout):
                    if stream is not None:
                        stream.close()

    def _interpreter(self) -> subprocess.Popen[str]:
        listed = self.shell("env -0 | tr '\\0\\n' '\\n ' | sed 's/^/=/'")
        lines = (line[1:].partition("=") for line in listed.splitlines() if line[:1] == "=")
        environment = {name: value for name, _, value in lines}
        return _started(["python", "-c", INTERPRETER], self.folder, environment)


def _started(words: list[str], folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    program = shutil.which(words[0], path=environment["PATH"])
    assert program, words
    return subprocess.Popen(
        [program, *words[1:]],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _said(process: subprocess.Popen[str], text: str) -> str:
    """What a process prints until it says that the block is done, with which code."""
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None
    stdin.write(text)
    stdin.flush()
    printed = list[str]()
    for line in _lines(stdout):
        if line.startswith(_MARK):
            assert line.split()[-1] == "0", "".join(printed)
            return "".join(printed).removesuffix("\n")
        printed.append(line)
    raise AssertionError(f"{text}\nended with\n{''.join(printed)}")


def _lines(stream: IO[str]) -> Iterator[str]:
    yield from iter(stream.readline, "")


def _commands(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block and what the page says it prints."""
    for part in re.split(r"^\$ ", text.replace("\\\n", ""), flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        yield command, expected.strip()


@pytest.fixture(scope="session")
def wheel(repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel CI built (FARTHING_WHEEL), else one built here from the checkout."""
    if given := os.environ.get("FARTHING_WHEEL"):
        return Path(given)
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder)]
    done = subprocess.run([*pip, str(repo_root)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("no package index is reachable, so the quickstarts are not walked")
    return next(folder.glob("farthing-*.whl"))


@pytest.fixture
def machine(wheel: Path, tmp_path: Path) -> dict[str, str]:
    """A reader's environment: Python, Node, Claude Code, and nothing of this repository."""
    python = Path(sys.base_prefix) / "bin"
    tools = [python, environments.node_modules() / ".bin", *map(Path, ("/usr/bin", "/bin"))]
    node = shutil.which("node")
    assert node is not None  # node_modules was installed with it
    index = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "NPM_"))}
    return {
        **index,
        "PATH": os.pathsep.join(map(str, [*tools, Path(node).parent])),
        "HOME": str(tmp_path),
        "PIP_FIND_LINKS": f"{wheel.parent} {os.environ.get('PIP_FIND_LINKS', '')}".strip(),
        "NPM_CONFIG_LOGLEVEL": "error",  # a warning is of this machine's npm, not of the page
        "NPM_CONFIG_CACHE": str(Path.home() / ".npm"),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "IS_SANDBOX": "1",
        "LANG": "C.UTF-8",
    }


def _digests(place: Path) -> set[str]:
    """The package's files with their digests: of a wheel, or of the folder it was installed in."""
    record = f"farthing-{farthing.__version__}.dist-info/RECORD"
    if place.is_dir():
        text = (place.parent / record).read_text("utf-8")
    else:
        text = zipfile.ZipFile(place).read(record).decode()
    return {line for line in text.splitlines() if line.startswith("farthing/") and ".py," in line}


def _refuse_taken_ports(text: str) -> None:
    """The pages name ports; a server of somebody else there would answer in our place."""
    deadline = time.monotonic() + _READING_SECONDS  # for those of the walk before to go
    for port in sorted({int(port) for port in re.findall(r"127\.0\.0\.1:(\d{4,5})", text)}):
        while _is_taken(port) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not _is_taken(port), f"something listens on port {port}"


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_a_quickstart_does_what_it_says(
    page: Path, machine: dict[str, str], wheel: Path, tmp_path: Path
) -> None:
    _refuse_taken_ports(page.read_text("utf-8"))
    folder = tmp_path / "project"
    folder.mkdir()
    walk = Walk(folder, machine)
    try:
        for block in walked_blocks(page):
            walk.block(block)
        assert _digests(Path(walk.shell(_WHERE)).parent) == _digests(wheel)
    finally:
        walk.end()
