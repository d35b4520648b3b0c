"""What is announced and kept no more is taken back; where that fails, its records expire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dhtstore.dht.core.record_rules import Published
from dhtstore.errors import DhtstoreError
from dhtstore.model.identity import DhtKey
from dhtstore.model.unit import Unit, unit_text
from dhtstore.node.copies.completeness import Completeness
from dhtstore.node.identity import Identity
from dhtstore.params import LOOKUP_TIMEOUT_S
from dhtstore.tasks import Supervisor
from dhtstore.trace import Tracer


class TakingBack(Protocol):
    """As much of the DHT as matters here."""

    async def withdraw(self, key: DhtKey, *, timeout_s: float) -> Published: ...


@dataclass(frozen=True, slots=True)
class KeptNoMore:
    """``tasks`` own the work: nobody waits for it."""

    identity: Identity
    completeness: Completeness
    dht: TakingBack
    tasks: Supervisor
    tracer: Tracer

    def ended(self, units: Sequence[Unit]) -> None:
        """Something that kept these has ended."""
        if units:
            self.tasks.spawn(self.withdraw(units), "withdraw")

    async def withdraw(self, units: Sequence[Unit], *, kept: bool = False) -> None:
        """Of those that nothing else keeps; where this node leaves, also of what is ``kept``."""
        run, completeness = self.completeness.disk.blocking.run, self.completeness
        for unit in units:
            here = await run(completeness.under, unit.name, self.identity.now_unix_s())
            if here and not kept:
                continue
            try:
                await self.dht.withdraw(unit.key, timeout_s=LOOKUP_TIMEOUT_S)
            except DhtstoreError as error:
                self.tracer("withdraw.failed", unit=unit_text(unit.name), error=str(error))
                return
