"""Transcripts of Claude Code, as the client writes them."""

from __future__ import annotations

from farthing.traces.claude_code.folder import default_folders, find_files
from farthing.traces.claude_code.transcript import PROGRESS_SOURCE, SOURCE, read_transcript

__all__ = ["PROGRESS_SOURCE", "SOURCE", "default_folders", "find_files", "read_transcript"]
