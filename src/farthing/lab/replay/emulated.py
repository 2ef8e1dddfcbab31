"""The same turns through the real SDK, over HTTP, against the emulator: the true way.

Each request carries its instant, its recorded sizes wait in the emulator's script, and the first
byte comes as late as it did; otherwise it is a request like any client's. Who shares a prompt cache
in the recording shares a workspace here.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from farthing.errors import ConfigError
from farthing.lab.emulator import RunningEmulator, Settings, emulator
from farthing.lab.replay.bodies import BodyWriter, block_sizes
from farthing.lab.replay.sending import LearningPolicy, Policy, Sending, begun
from farthing.lab.replay.simulation import Replayed
from farthing.lab.replay.turns import Turn
from farthing.wire.usage import Usage, parse_usage

if TYPE_CHECKING:
    from anthropic import Anthropic

__all__ = ["EmulatedRun", "Refused"]

_TIMEOUT_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A turn the emulator would not serve, and its words."""

    turn_id: str
    message: str


@dataclass(slots=True)
class EmulatedRun:
    """Replays turns through an emulator of its own."""

    refused: list[Refused] = field(default_factory=list)

    def replay(self, turns: Iterable[Turn], policy: Policy) -> Iterator[Replayed]:
        """Every turn in order, as billed by the emulator; refused ones are set aside."""
        settings = Settings(accept_foreign_thinking=True, requests_kept=1)
        sdk = _sdk()
        with (
            emulator(settings) as running,
            sdk.Anthropic(base_url=running.url, api_key=running.api_key, max_retries=0) as client,
            warnings.catch_warnings(),
        ):
            # the SDK warns of models near their end; a recording may name any
            warnings.simplefilter("ignore", DeprecationWarning)
            writer = BodyWriter()
            policy = begun(policy)
            for turn in turns:
                sending = policy.plan(turn)
                try:
                    usage = _send(client, running, writer, turn, sending)
                except sdk.APIStatusError as error:
                    self.refused.append(Refused(turn_id=turn.id, message=_words(error.body)))
                    continue
                if isinstance(policy, LearningPolicy):
                    policy.observe(turn, usage)
                yield Replayed(turn=turn, usage=usage)


def _sdk() -> Any:
    try:
        import anthropic  # noqa: PLC0415  an optional extra
    except ImportError as error:
        raise ConfigError(
            "a replay through the emulator needs the SDK and a server: "
            "pip install 'farthing[lab]' anthropic; `--through simulation` needs neither"
        ) from error
    return anthropic


def _send(
    client: Anthropic, running: RunningEmulator, writer: BodyWriter, turn: Turn, sending: Sending
) -> Usage:
    running.script([_script_line(turn)])
    message = client.messages.create(
        **writer.write(turn, sending), extra_headers=_headers(turn), timeout=_TIMEOUT_SECONDS
    )
    return parse_usage(message.usage.to_json().encode())


def _script_line(turn: Turn) -> dict[str, Any]:
    return {
        "conversation": turn.recording.conversation.id,
        "turn": turn.index,
        "content": "(the recorded answer is in the next request)",
        "output_tokens": turn.output_tokens,
        "sizes": block_sizes(turn),
    }


def _headers(turn: Turn) -> dict[str, str]:
    scope = blake2b(turn.recording.scope.encode(), digest_size=8).hexdigest()
    wait = (turn.first_byte_at - turn.began_at).total_seconds()
    return {
        "x-api-key": f"sk-emu-replay.{scope}",
        "x-emulator-at": repr(turn.began_at.timestamp()),
        "x-emulator-conversation": turn.recording.conversation.id,
        "x-emulator-turn": str(turn.index),
        "x-emulator-fault": f"latency={wait!r}",
    }


def _words(body: object) -> str:
    """The provider's sentence, without anything else of the body."""
    if isinstance(body, dict) and isinstance(error := body.get("error"), dict):
        return str(error.get("message", ""))
    return "no error message"
