"""Who sends a turn: the SDK with a policy's marks, or another project in a process of its own.

Other projects run in environments of their own, outside the repository, installed once. Each gets
the request without a single mark and decides itself; what it sent is checked block by block, since
sizes are told to the emulator by the block.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, Final, Protocol

import anthropic
import msgspec

from farthing.core.prefix import Ttl
from farthing.lab.emulator import RunningEmulator
from farthing.lab.replay import Policy, Sending, Turn
from farthing.lab.replay.bodies import BodyWriter, block_sizes
from farthing.lab.replay.sending import LearningPolicy, begun
from farthing.wire.usage import Usage, parse_usage

__all__ = ["CLIENTS", "Client", "Failed", "Policed", "Sender", "open_client"]

CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "farthing-clients"
_SCRIPTS: Final = Path(__file__).resolve().parent / "clients"
_INSTALL_SECONDS: Final = 900


class Failed(Exception):
    """A client that could not be installed, or a request it could not send."""


class Sender(Protocol):
    """Sends turns, in the order of time, and says what each was billed."""

    @property
    def versions(self) -> Mapping[str, str]: ...

    def send(self, turn: Turn) -> Usage: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Another project: where its code comes from, and our script that calls it."""

    name: str
    script: str
    packages: tuple[str, ...]
    folder: str


CLIENTS: Final[dict[str, Client]] = {
    client.name: client
    for client in (
        Client(
            name="langchain",
            script="langchain_caching.py",
            packages=("langchain==1.4.7", "langchain-anthropic==1.7.7"),
            folder="langchain_agents",
        ),
        Client(
            name="litellm",
            script="litellm_points.py",
            # it imports `mcp` as soon as a call offers tools, but requires it only as an extra
            packages=("litellm[mcp]==1.106.2",),
            folder="litellm",
        ),
    )
}


class _Wire:
    """Where requests go and with which headers."""

    def __init__(self, emu: RunningEmulator) -> None:
        self._emu = emu
        self._writer = BodyWriter()

    @property
    def url(self) -> str:
        return self._emu.url

    def body(self, turn: Turn, sending: Sending) -> dict[str, Any]:
        return self._writer.write(turn, sending)

    def headers(self, turn: Turn) -> dict[str, str]:
        wait = (turn.first_byte_at - turn.began_at).total_seconds()
        return {
            "x-api-key": self.key(turn),
            "x-emulator-at": repr(turn.began_at.timestamp()),
            "x-emulator-sizes": ",".join(str(size) for size in block_sizes(turn)),
            "x-emulator-answer": f"output={max(1, turn.output_tokens)}",
            "x-emulator-fault": f"latency={wait!r}",
        }

    def key(self, turn: Turn) -> str:
        """Who shares a prompt cache in the recording shares a workspace here."""
        scope = blake2b(turn.recording.scope.encode(), digest_size=8).hexdigest()
        return f"sk-emu-replay.{scope}"

    def check(self, turn: Turn) -> None:
        """Did what arrived have a block for each size?"""
        arrived = msgspec.json.decode(self._emu.requests[-1].http_request.body)
        blocks = [*arrived.get("tools", []), *_listed(arrived.get("system", []))]
        for message in arrived["messages"]:
            blocks += _listed(message["content"])
        if len(blocks) != len(turn.positions):
            raise Failed(
                f"{turn.id}: {len(turn.positions)} blocks were given, {len(blocks)} arrived"
            )


def _listed(content: Any) -> list[Any]:
    return content if isinstance(content, list) else [content]


class Policed:
    """The Python SDK with the breakpoints of a replay policy."""

    def __init__(self, emu: RunningEmulator, policy: Policy) -> None:
        self._wire = _Wire(emu)
        self._policy = begun(policy)
        self._client = anthropic.Anthropic(base_url=emu.url, api_key="sk-emu-any", max_retries=0)
        self.versions = {"anthropic": version("anthropic")}

    def send(self, turn: Turn) -> Usage:
        body = self._wire.body(turn, self._policy.plan(turn))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of models near their end
            message = self._client.messages.create(**body, extra_headers=self._wire.headers(turn))
        usage = parse_usage(message.usage.to_json().encode())
        if isinstance(self._policy, LearningPolicy):
            self._policy.observe(turn, usage)
        return usage


class _Foreign:
    """Another project's code, in a process of its own interpreter."""

    def __init__(self, emu: RunningEmulator, source: IO[str], sink: IO[str]) -> None:
        self._wire = _Wire(emu)
        self._source, self._sink = source, sink
        self.versions: Mapping[str, str] = self._hear()["versions"]

    def send(self, turn: Turn) -> Usage:
        asked = {
            "url": self._wire.url,
            "key": self._wire.key(turn),
            "headers": self._wire.headers(turn),
            "body": self._wire.body(turn, Sending()),
        }
        with suppress(BrokenPipeError):  # then there is no answer either
            self._sink.write(json.dumps(asked) + "\n")
            self._sink.flush()
        answer = self._hear()
        if "error" in answer:
            raise Failed(f"{turn.id}: {answer['error']}")
        self._wire.check(turn)
        return parse_usage(json.dumps(answer["usage"]).encode())

    def _hear(self) -> dict[str, Any]:
        """The next line of JSON; libraries print other things too."""
        for line in self._source:
            if line.startswith("{"):
                heard: dict[str, Any] = json.loads(line)
                return heard
        raise Failed("the client ended without an answer")


@contextmanager
def open_client(client: Client, emu: RunningEmulator, ttl: Ttl = "5m") -> Iterator[Sender]:
    """The client's process, asking for this lifetime, for as long as the block lasts."""
    process = subprocess.Popen(
        [str(_python_of(client)), str(_SCRIPTS / client.script), ttl],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "NO_PROXY": "127.0.0.1", "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield _Foreign(emu, process.stdout, process.stdin)
    finally:
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.close()
        process.wait(timeout=30)


def _python_of(client: Client) -> Path:
    """The interpreter of the client's environment; makes the environment if need be."""
    folder = CACHE / "python" / client.folder
    installed = folder / "installed.txt"
    python = folder / "bin" / "python"
    if not (installed.is_file() and installed.read_text().split() == list(client.packages)):
        _run(sys.executable, "-m", "venv", "--clear", str(folder))
        _run(str(python), "-m", "pip", "install", "--quiet", *client.packages)
        installed.write_text("\n".join(client.packages))
    return python


def _run(*command: str) -> None:
    try:
        subprocess.run(command, capture_output=True, timeout=_INSTALL_SECONDS, check=True)
    except subprocess.SubprocessError as error:
        raise Failed(f"cannot be installed here: {' '.join(command)}") from error
