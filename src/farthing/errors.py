"""The exception tree and its stable codes.

The axis is *who must act*::

    FarthingError
    ├── RequestError            the caller: the body cannot be read, or an edit does not fit it
    │   ├── EditConflict        two edits want the same bytes, or an edit has no target
    │   └── InvalidRequest      the Claude API would answer 400
    ├── ConfigError             the operator: settings, policy, rate-card overrides
    │   └── UnpricedModelError  the model has no rate card; give one, or ask for tokens only
    ├── BudgetExceeded          policy, not a fault: a budget is spent
    ├── LoopDetectedError       policy, not a fault: the agent repeats itself
    ├── BreakerOpen             policy, not a fault: too much went wrong, or was spent, too fast
    ├── UpstreamError           Claude, or the network on the way to it
    │   ├── UpstreamUnreachable nothing was sent: no name, no connection, no TLS
    │   ├── UpstreamTimeout     no connection, or no answer, in time
    │   └── UpstreamCut         the connection ended after the request had left
    ├── LedgerError             storage
    ├── TraceError              a trace or transcript cannot be read
    └── EngineBug               us

Each class carries a stable ``code``, the HTTP status a gateway would answer (``status_hint``) and a
default message (its docstring's first line). Messages never contain a body, a prompt or a key.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Protocol

__all__ = [
    "BreakerOpen",
    "BudgetExceeded",
    "ConfigError",
    "EditConflict",
    "EngineBug",
    "FarthingError",
    "Finding",
    "InvalidRequest",
    "LedgerError",
    "LoopDetectedError",
    "LoopEvidence",
    "RequestError",
    "TraceError",
    "UnpricedModelError",
    "UpstreamCut",
    "UpstreamError",
    "UpstreamTimeout",
    "UpstreamUnreachable",
]


class FarthingError(Exception):
    """Something farthing cannot do."""

    code: ClassVar[str] = "farthing"
    status_hint: ClassVar[int] = 500

    def __init__(self, message: str = "") -> None:
        if type(self) is FarthingError:
            raise TypeError("FarthingError is abstract: raise the leaf that says who must act")
        super().__init__(message or (type(self).__doc__ or "").partition("\n")[0])


class RequestError(FarthingError):
    """The request body cannot be read as a Messages request."""

    code = "request.unreadable"
    status_hint = 400


class EditConflict(RequestError):
    """Two edits want the same bytes, or an edit has no target."""

    code = "request.edit_conflict"


class Finding(Protocol):
    """What an ``InvalidRequest`` carries: a rule's code, where it is broken, and how."""

    @property
    def code(self) -> str:
        """The rule's stable code."""

    @property
    def address(self) -> str:
        """Where in the request; empty for the whole of it."""

    @property
    def message(self) -> str:
        """What is wrong there, without content."""


class InvalidRequest(RequestError):
    """The Claude API would refuse this request."""

    code = "request.invalid"

    def __init__(self, message: str = "", *, violations: Sequence[Finding] = ()) -> None:
        self.violations = tuple(violations)
        super().__init__(message)


class ConfigError(FarthingError):
    """A setting, policy or override is wrong."""

    code = "config"


class UnpricedModelError(ConfigError):
    """The model has no rate card."""

    code = "config.unpriced_model"

    def __init__(self, message: str = "", *, model: str = "") -> None:
        self.model = model
        super().__init__(message)


class BudgetExceeded(FarthingError):
    """A budget is spent.

    ``farthing.BudgetExceededError`` is this class. A message is enough to raise it; the amounts are
    dollars, None where nobody said::

        >>> error = BudgetExceeded("nightly-report has spent its 5 USD", scope="nightly-report")
        >>> error.scope, error.limit
        ('nightly-report', None)
    """

    code = "budget.exceeded"
    status_hint = 402

    def __init__(  # noqa: PLR0913 -- each is a fact that a handler may want by its name
        self,
        message: str = "",
        *,
        scope: str | None = None,
        limit: Decimal | float | None = None,
        spent: Decimal | float | None = None,
        held: Decimal | float | None = None,
        estimated: Decimal | float | None = None,
        resets_at: datetime | None = None,
    ) -> None:
        #: whose budget it is
        self.scope = scope
        self.limit = limit
        self.spent = spent
        #: held for calls that are still under way
        self.held = held
        #: what the refused call could have cost
        self.estimated = estimated
        #: when its window ends and it begins anew
        self.resets_at = resets_at
        super().__init__(message)


class LoopEvidence(Protocol):
    """What a ``LoopDetectedError`` carries: what repeats, and how often it has been seen."""

    @property
    def cycle(self) -> tuple[Hashable, ...]:
        """The signatures of one copy."""

    @property
    def repeats(self) -> int:
        """Complete copies in a row."""


class LoopDetectedError(FarthingError):
    """The agent repeats itself without progress.

    ``match`` is what ``LoopDetector.record`` returned, if that is where the loop was seen::

        >>> LoopDetectedError("read_file again and again").match is None
        True
    """

    code = "loop.detected"
    status_hint = 402

    def __init__(self, message: str = "", *, match: LoopEvidence | None = None) -> None:
        self.match = match
        super().__init__(message)


class BreakerOpen(FarthingError):
    """A circuit breaker is open.

    ``scope`` is what it stands in front of, ``why`` the storm that opened it::

        >>> BreakerOpen("too many errors", scope="key:k1", why="error_storm").why
        'error_storm'
    """

    code = "breaker.open"
    status_hint = 402

    def __init__(
        self, message: str = "", *, scope: str | None = None, why: str | None = None
    ) -> None:
        self.scope = scope
        self.why = why
        super().__init__(message)


class UpstreamError(FarthingError):
    """The Claude API, or the network on the way to it, failed."""

    code = "upstream"
    status_hint = 502
    #: can the request have left? Then it may have cost something
    was_sent: ClassVar[bool] = True


class UpstreamUnreachable(UpstreamError):
    """The Claude API cannot be reached; nothing was sent."""

    code = "upstream.unreachable"
    was_sent = False


class UpstreamTimeout(UpstreamError):
    """The Claude API did not answer in time."""

    code = "upstream.timeout"
    status_hint = 504


class UpstreamCut(UpstreamError):
    """The connection to the Claude API ended before the answer was complete."""

    code = "upstream.cut"


class LedgerError(FarthingError):
    """The ledger cannot be read or written."""

    code = "ledger"


class TraceError(FarthingError):
    """A trace or transcript cannot be read."""

    code = "trace"


class EngineBug(FarthingError):
    """A law of farthing was broken by farthing itself; please report it."""

    code = "bug"
