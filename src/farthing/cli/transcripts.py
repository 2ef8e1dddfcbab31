"""Which transcripts, where the command line names none: those of Claude Code on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from farthing.errors import ConfigError
from farthing.traces.claude_code import default_folders

__all__ = ["transcript_paths"]


def transcript_paths(given: list[Path]) -> list[Path]:
    """The files and folders that were named, or the usual folders; ``ConfigError`` for none."""
    paths = given or default_folders(os.environ, Path.home())
    if not paths:
        raise ConfigError(
            "no transcripts at '~/.claude/projects' or '~/.config/claude/projects'; "
            "name a file or folder, or set CLAUDE_CONFIG_DIR"
        )
    return paths
