"""The governor: switches a lever off for a workload where its measured net is not positive.

Theory of operation. Each exchange on which a lever acted leaves a *residual*: what the shadow
baseline, calibrated by the provider's usage, says the call would have cost without the lever, minus
what it measurably cost; own costs (pings) are subtracted before it comes here. Residuals are scaled
by a bound that no exchange of this size can exceed in either direction: the dearest its prompt can
be billed. Two e-processes per lever and workload bet against "it gains nothing" and "it loses
nothing". So over the whole life of a lever in a workload the chance to be called a loss although
its mean is not below zero is at most ``alpha``, however often one looks.

- ``off``: shown to lose. It stays off for this engine version; what is off leaves no residuals, so
  only a new version, or the operator, gives it another chance.
- ``on``: shown to gain.
- ``undecided``: neither; the lever acts as policy and prediction say.

A scaled mean weighs each call by its own size, so a loss on many small calls shows as well as one
on a few large ones. A lever that gained for long and then loses needs about as many calls again to
be caught: the price of never forgetting evidence.

A verdict reaches *new* lineages only (``farthing.core.pins``).

Interface: ``Governor(engine_version=…)``; ``record(lever, workload, Residual)``;
``verdict(lever, workload)`` → ``Judgement``; ``dump`` / ``load``.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Literal, Self

import msgspec

from farthing.core.evidence import ConfidenceSequence, EProcess, Interval, scaled
from farthing.errors import LedgerError

__all__ = ["ALPHA", "Governor", "Judgement", "Residual", "Switch", "Verdict"]

Verdict = Literal["on", "off", "undecided"]

#: the chance, per lever and workload and for ever, of a wrong verdict of each kind
ALPHA: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """What a lever saved on one exchange, and the most it could have saved or lost."""

    saved_pico: int
    bound_pico: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict with its evidence."""

    lever: str
    workload: str
    verdict: Verdict
    exchanges: int = 0
    saved_pico: int = 0
    #: e-values: proof from 1/alpha on
    gain: float = 1.0
    loss: float = 1.0
    #: of the mean residual in units of its bound
    mean: float = 0.0
    interval: Interval = field(default_factory=lambda: ConfidenceSequence().interval)


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A verdict that has changed."""

    lever: str
    workload: str
    before: Verdict
    after: Verdict
    exchanges: int
    saved_pico: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    gain: EProcess = field(default_factory=EProcess)
    loss: EProcess = field(default_factory=EProcess)
    sequence: ConfidenceSequence = field(default_factory=lambda: ConfidenceSequence(alpha=ALPHA))
    saved_pico: int = 0

    def after(self, residual: Residual) -> Self:
        share = scaled(residual.saved_pico, residual.bound_pico)
        return replace(
            self,
            gain=self.gain.bet(share),
            loss=self.loss.bet(-share),
            sequence=self.sequence.add(share),
            saved_pico=self.saved_pico + residual.saved_pico,
        )

    @property
    def verdict(self) -> Verdict:
        if self.loss.is_proof(ALPHA):
            return "off"
        return "on" if self.gain.is_proof(ALPHA) else "undecided"


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    lever: str
    workload: str
    case: _Case


class _Saved(msgspec.Struct, frozen=True):
    engine_version: str
    cases: list[_Entry]


class Governor:
    """Verdicts per lever and workload; at most ``capacity`` of them, the longest unused go."""

    def __init__(self, *, engine_version: str, capacity: int = 4_096) -> None:
        self.engine_version = engine_version
        self._capacity = capacity
        self._cases: OrderedDict[tuple[str, str], _Case] = OrderedDict()
        #: what changed and was not taken yet; the oldest go
        self._switches: deque[Switch] = deque(maxlen=capacity)

    def __len__(self) -> int:
        return len(self._cases)

    def record(self, lever: str, workload: str, residual: Residual) -> Verdict:
        """One exchange on which the lever acted; the verdict after it."""
        if abs(residual.saved_pico) > residual.bound_pico:
            raise ValueError(f"{residual} exceeds its own bound")
        before = self._cases.get((lever, workload), _Case())
        case = before.after(residual)
        self._cases[lever, workload] = case
        self._cases.move_to_end((lever, workload))
        if len(self._cases) > self._capacity:
            self._cases.popitem(last=False)
        verdict = case.verdict
        if verdict != before.verdict:
            switch = Switch(
                lever=lever,
                workload=workload,
                before=before.verdict,
                after=verdict,
                exchanges=case.sequence.count,
                saved_pico=case.saved_pico,
            )
            self._switches.append(switch)
        return verdict

    def take_switches(self) -> list[Switch]:
        """Verdicts that have changed since the last time."""
        taken = list(self._switches)
        self._switches.clear()
        return taken

    def is_off(self, lever: str, workload: str) -> bool:
        """Was the lever shown to lose here? Asked for each call."""
        case = self._cases.get((lever, workload))
        return case is not None and case.verdict == "off"

    def verdict(self, lever: str, workload: str) -> Judgement:
        """Whether the lever may act in the workload, with the evidence."""
        case = self._cases.get((lever, workload))
        if case is None:
            return Judgement(lever=lever, workload=workload, verdict="undecided")
        return Judgement(
            lever=lever,
            workload=workload,
            verdict=case.verdict,
            exchanges=case.sequence.count,
            saved_pico=case.saved_pico,
            gain=case.gain.peak,
            loss=case.loss.peak,
            mean=case.sequence.mean,
            interval=case.sequence.interval,
        )

    def judgements(self) -> Iterator[Judgement]:
        """All of them, by lever and workload."""
        for lever, workload in sorted(self._cases):
            yield self.verdict(lever, workload)

    def dump(self) -> bytes:
        """Everything as JSON."""
        # a copy first: another thread may be recording
        items = list(self._cases.items())
        cases = [_Entry(lever, workload, case) for (lever, workload), case in items]
        return msgspec.json.encode(_Saved(engine_version=self.engine_version, cases=cases))

    @classmethod
    def load(cls, raw: bytes, *, engine_version: str, capacity: int = 4_096) -> Self:
        """What ``dump`` wrote; another engine version starts without verdicts."""
        try:
            saved = msgspec.json.decode(raw, type=_Saved)
        except msgspec.MsgspecError as error:
            raise LedgerError(f"the governor's table cannot be read: {error}") from None
        governor = cls(engine_version=engine_version, capacity=capacity)
        if saved.engine_version == engine_version:
            for entry in saved.cases[-capacity:]:
                governor._cases[entry.lever, entry.workload] = entry.case
        return governor
