"""Clients in environments of their own: installed once into a cache outside the repository.

Where a client cannot be installed its tests are skipped, loudly: the summary says what was not
tested and which command would install it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

__all__ = ["NPM_PACKAGES", "PYTHON_CLIENTS", "node_modules", "python_of"]

#: pinned, so that a new release of a client is a decision and not a surprise
NPM_PACKAGES: Final = {"@anthropic-ai/sdk": "1.11.0", "@anthropic-ai/claude-code": "2.1.197"}
PYTHON_CLIENTS: Final = {
    "anthropic": ("anthropic==2.11.0",),
    "claude_agent_sdk": ("claude-agent-sdk==0.2.186",),
    "langchain": ("langchain-anthropic==1.7.7",),
    "pydantic_ai": ("pydantic-ai-slim[anthropic]==2.62.0",),
    # it imports `mcp` as soon as a call offers tools, but requires it only as an extra
    "litellm": ("litellm[mcp]==1.106.2",),
    "llm": ("llm==0.36", "llm-anthropic==0.30"),
}
CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "farthing-clients"

_INSTALL_SECONDS: Final = 900


def node_modules() -> Path:
    """The folder with the clients from npm; installs what is missing."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: TypeScript SDK and Claude Code are not tested")
    folder = CACHE / "node_modules"
    if not all((folder / name / "package.json").is_file() for name in NPM_PACKAGES):
        CACHE.mkdir(parents=True, exist_ok=True)
        wanted = [f"{name}@{version}" for name, version in NPM_PACKAGES.items()]
        _run("npm", "install", "--no-audit", "--no-fund", "--prefix", str(CACHE), *wanted)
    return folder


def python_of(client: str) -> Path:
    """The interpreter of a Python client's environment; makes the environment if need be."""
    folder = CACHE / "python" / client
    python = folder / "bin" / "python"
    wanted = PYTHON_CLIENTS[client]
    installed = folder / "installed.txt"
    if not (installed.is_file() and installed.read_text().split() == list(wanted)):
        _run(sys.executable, "-m", "venv", "--clear", str(folder))
        _run(str(python), "-m", "pip", "install", "--quiet", *wanted)
        installed.write_text("\n".join(wanted))
    return python


def _run(*command: str) -> None:
    try:
        subprocess.run(command, capture_output=True, timeout=_INSTALL_SECONDS, check=True)
    except subprocess.SubprocessError:
        pytest.skip(f"a client is not tested, this failed: {shlex.join(command)}")
