"""One model as the catalogue knows it: behaviour, dates, declared names."""

from __future__ import annotations

from dataclasses import dataclass

from farthing.pricing.lifecycle import Lifecycle
from farthing.wire.models import ModelTraits

__all__ = ["Model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model id with all the provider says about it, except its prices."""

    traits: ModelTraits
    lifecycle: Lifecycle
    #: other names that mean exactly this snapshot
    aliases: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The id and its aliases."""
        return (self.traits.id, *self.aliases)
