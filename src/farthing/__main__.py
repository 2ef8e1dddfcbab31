"""``python -m farthing`` is the ``farthing`` command."""

from __future__ import annotations

import sys

from farthing.cli.main import main

__all__: list[str] = []

sys.exit(main())
