"""Price the agent conversation beside this file: as sent, and marked for the prompt cache."""

from __future__ import annotations

import sys
from pathlib import Path

from farthing.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["demo", str(Path(__file__).with_name("conversation.json")), *sys.argv[1:]]))
