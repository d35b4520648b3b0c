"""What came of the addresses of a node that was dialled, for whoever wants to tell it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dhtstore.model.contact import Address
from dhtstore.operations.explaining.causes import Cause, CauseKind


@dataclass(frozen=True, slots=True)
class Try:
    """One address, dialled from ``began_s`` on, of the clock's monotonic scale, for ``took_s``,
    None while it lasts; ``cause`` is why it led nowhere, None where it led to the node."""

    address: Address
    began_s: float
    took_s: float | None = None
    cause: Cause | None = None

    def ended(self, now_s: float, why: str) -> Try:
        """As it is, or where it lasts, as one that nobody answered."""
        if self.took_s is not None:
            return self
        cause = Cause(CauseKind.DIAL_TIMEOUT, why)
        return replace(self, took_s=now_s - self.began_s, cause=cause)


OnTries = Callable[[Sequence[Try]], None]


def untold(tries: Sequence[Try]) -> None:
    """For whoever does not want to know."""
