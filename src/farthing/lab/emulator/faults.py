"""What can be made to go wrong: asked for by header on one request, or planned for the next ones.

A fault is written as words: ``status=529 retry-after=1``, ``cut=3``, ``latency=2``, ``slow=0.5``,
``error-event=overloaded_error after=2``, ``evict``, ``spend-limit``, ``own-limit``, and for batches
``batch-delay=3600``, ``batch-expire=0.3``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

from farthing.errors import ConfigError
from farthing.lab.emulator.refusal import Refusal

__all__ = ["NO_FAULT", "Fault", "FaultPlan", "parse_fault"]

_MESSAGES = {
    429: "This request would exceed your organization's rate limit.",
    500: "Internal server error",
    504: "The request timed out while processing.",
    529: "Overloaded",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong with one request; the default is nothing."""

    status: int | None = None
    retry_after: float | None = None
    latency: float = 0.0
    slow: float = 0.0
    cut: int | None = None
    error_event: str | None = None
    after: int = 1
    evict: bool = False
    spend_limit: bool = False
    own_limit: bool = False
    batch_delay: float | None = None
    batch_expire: float = 0.0

    def raise_if_refused(self) -> None:
        """Raise the error this fault stands for, if it is one."""
        if self.spend_limit:  # an enforced cap has no retry-after (section 4.4)
            details = {"error_code": "enforced_spend_limit_reached"}
            raise Refusal(429, "You have reached your organization's spend limit.", details=details)
        if self.own_limit:
            raise Refusal(400, "You have reached your specified API usage limits.")
        if self.status is not None:
            headers = {} if self.retry_after is None else {"retry-after": f"{self.retry_after:g}"}
            raise Refusal(
                self.status, _MESSAGES.get(self.status, "Injected fault"), headers=headers
            )


NO_FAULT = Fault()
_TYPES: Mapping[str, Callable[[str], object]] = {
    "int | None": int,
    "int": int,
    "float | None": float,
    "float": float,
    "str | None": str,
    "bool": lambda text: text in ("", "1", "true"),
}


def parse_fault(text: str) -> Fault:
    """The fault a line of words describes."""
    known = {field.name: str(field.type) for field in fields(Fault)}
    values: dict[str, object] = {}
    for word in text.replace(",", " ").replace(";", " ").split():
        name, _, value = word.partition("=")
        field_name = name.replace("-", "_")
        if field_name not in known:
            words = ", ".join(one.replace("_", "-") for one in known)
            raise ConfigError(f"unknown fault {name!r}: choose from {words}")
        try:
            values[field_name] = _TYPES[known[field_name]](value)
        except ValueError as error:
            raise ConfigError(f"fault {word!r}: {value!r} is not a number") from error
    return Fault(**values)  # type: ignore[arg-type]  # each value was converted by its field's type


@dataclass(slots=True)
class _Planned:
    fault: Fault
    times: int
    path: str

    def fits(self, path: str) -> bool:
        """Whether a request's path is meant; no path means any."""
        if not self.path or self.path.endswith("*"):
            return path.startswith(self.path.rstrip("*"))
        return path == self.path


class FaultPlan:
    """Faults waiting for the next requests, in the order they were planned."""

    def __init__(self) -> None:
        self._planned: list[_Planned] = []

    def add(self, text: str, *, times: int = 1, path: str = "") -> None:
        """Plan a fault for the next requests to ``path``; ``/x*`` means any path under ``/x``."""
        self._planned.append(_Planned(parse_fault(text), times, path))

    def clear(self) -> None:
        """Forget what is planned."""
        self._planned.clear()

    def take(self, path: str, headers: Mapping[str, str]) -> Fault:
        """The fault of this request: its header's, else the first planned one that fits."""
        if text := headers.get("x-emulator-fault"):
            return parse_fault(text)
        for planned in self._planned:
            if planned.fits(path):
                planned.times -= 1
                if planned.times <= 0:
                    self._planned.remove(planned)
                return planned.fault
        return NO_FAULT
