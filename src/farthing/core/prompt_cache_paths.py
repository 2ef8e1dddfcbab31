"""Paths of recent requests: enough to say where a new request departed from an old one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from farthing.core.prefix import PrefixView
from farthing.core.prompt_cache_forecast import Hit, Shortfall

__all__ = ["RecentPaths", "common_blocks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Path:
    scope: str
    model: str
    lineage_id: str
    #: digests, and tokens, through the last mark
    digests: Sequence[bytes]
    tokens: int


class RecentPaths:
    """The last few marked requests; one that extends another takes its place."""

    def __init__(self, *, capacity: int) -> None:
        self._capacity = capacity
        self._paths: OrderedDict[bytes, _Path] = OrderedDict()

    def __len__(self) -> int:
        return len(self._paths)

    def add(self, view: PrefixView, hit: Hit | None) -> None:
        """Remember this request; forget the one it continues, or the oldest."""
        if not view.marks:
            return
        last = view.marks[-1].index
        if hit:
            self._paths.pop(view.digests[hit.block], None)
        self._paths[view.digests[last]] = _Path(
            scope=view.scope,
            model=view.model,
            lineage_id=view.lineage_id,
            digests=view.digests[: last + 1],
            tokens=view.positions[last],
        )
        self._paths.move_to_end(view.digests[last])
        if len(self._paths) > self._capacity:
            self._paths.popitem(last=False)

    def departure(self, view: PrefixView, hit: Hit | None) -> Shortfall | None:
        """Did a kindred request write more on a path that this one left, or for another model?

        Kindred is the same lineage where the caller knows it, else whoever shares more blocks
        than were read.
        """
        if hit and view.digests[hit.block] in self._paths:
            return None
        kin = self._kin(view)
        same_model = [path for path in kin if path.model == view.model]
        if kin and not same_model:
            return Shortfall(code="model_changed", block=0, other_model=kin[0].model)
        shared, path = max(
            ((common_blocks(view.digests, path.digests), path) for path in same_model),
            key=lambda pair: pair[0],
            default=(0, None),
        )
        is_kindred = bool(view.lineage_id) or shared > (hit.block + 1 if hit else 0)
        if path is None or not is_kindred or shared in (len(path.digests), len(view.digests)):
            return None
        return Shortfall(
            code="prefix_changed",
            block=shared,
            level=view.level(shared),
            missed_tokens=max(0, path.tokens - (hit.tokens if hit else 0)),
        )

    def _kin(self, view: PrefixView) -> list[_Path]:
        """Candidates, latest first; other models only count inside a known lineage."""
        return [
            path
            for path in reversed(self._paths.values())
            if path.scope == view.scope
            and path.lineage_id == view.lineage_id
            and (view.lineage_id or path.model == view.model)
        ]


def common_blocks(left: Sequence[bytes], right: Sequence[bytes]) -> int:
    """How many leading blocks two paths share; digests are cumulative, so bisection will do."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[middle - 1] == right[middle - 1]:
            low = middle
        else:
            high = middle - 1
    return low
