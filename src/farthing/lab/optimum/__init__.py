"""The offline optimum: what nobody could have paid less than, knowing the whole workload.

A bound on the *input* bill of replayed turns: ``optimum(turns, prices)``. Every ratio of a policy
to the best possible is a ratio to this.
"""

from __future__ import annotations

from farthing.lab.optimum.bound import Optimum, Share, optimum
from farthing.lab.optimum.document import add_optimum

__all__ = ["Optimum", "Share", "add_optimum", "optimum"]
