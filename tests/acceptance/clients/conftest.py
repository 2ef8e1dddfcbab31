"""Real clients from npm, installed once into a cache outside the repository.

Without npm or its registry the tests are skipped, loudly: the summary says what was not tested.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from farthing.lab.emulator import RunningEmulator, emulator

#: pinned, so that a new release of a client is a decision and not a surprise
PACKAGES: Final = {"@anthropic-ai/sdk": "1.11.0", "@anthropic-ai/claude-code": "2.1.197"}
CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "farthing-clients"


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The folder with the clients; installs what is missing."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: TypeScript SDK and Claude Code are not tested")
    folder = CACHE / "node_modules"
    if not all((folder / name / "package.json").is_file() for name in PACKAGES):
        _install()
    return folder


def _install() -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    wanted = [f"{name}@{version}" for name, version in PACKAGES.items()]
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(CACHE), *wanted]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        pytest.skip("npm could not install the TypeScript SDK and Claude Code: not tested")


@pytest.fixture
def emu() -> Iterator[RunningEmulator]:
    with emulator() as running:
        yield running


@pytest.fixture
def claude_api_url(emu: RunningEmulator) -> str:
    """What the clients talk to; a suite that puts a gateway in between overrides this."""
    return emu.url
