"""Traces and scenarios through policies: what each would have cost, in virtual time.

By pure simulation on the core's model of the prompt cache, or through the real SDK over HTTP
against the emulator; both agree to the token.
"""

from __future__ import annotations

from farthing.lab.replay.policies import POLICIES, Policy, Sending, find_policy
from farthing.lab.replay.recording import read_turns
from farthing.lab.replay.run import BASELINE, Options, replay, replay_turns
from farthing.lab.replay.simulation import Replayed, simulate
from farthing.lab.replay.turns import Turn

__all__ = [
    "BASELINE",
    "POLICIES",
    "Options",
    "Policy",
    "Replayed",
    "Sending",
    "Turn",
    "find_policy",
    "read_turns",
    "replay",
    "replay_turns",
    "simulate",
]
