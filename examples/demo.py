"""A generated scenario, sent without and with the prompt cache: two bills."""

from __future__ import annotations

import sys

from farthing.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["demo", *sys.argv[1:]]))
