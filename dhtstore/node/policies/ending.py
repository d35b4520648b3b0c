"""Claims that their owners removed end at once: an owner's signature needs no second look."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from dhtstore.model.policy import Claim, Policy
from dhtstore.model.unit import Unit
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.copies.kept import unit_of_claim
from dhtstore.store.ledger.claims import STANDING

_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True)
class EndRemoved:
    """``kept_no_more`` is told of the units, ``left`` that there may be garbage."""

    disk: Disk
    ledger: Ledger
    kept_no_more: Callable[[list[Unit]], None]
    left: Callable[[], None]

    async def all(self) -> None:
        """Whatever is here under a removal.  Raises NoRoom, HomeUnusable."""
        over = self.ledger.claims.lapsed(STANDING)
        while some := await self.disk.blocking.run(_some, over):
            self.told(await self.disk.blocking.run(self.end, some))

    def end(self, claims: Iterable[Claim]) -> list[Unit]:
        """Their units; in a worker."""
        ended = [each for each in claims if self.ledger.claims.end_lapsed(each, STANDING)]
        return [unit_of_claim(each) for each in ended]

    def told(self, units: list[Unit]) -> None:
        """These were kept by claims that ended."""
        if units:
            self.kept_no_more(units)
            self.left()

    def of(self, policy: Policy, units: Iterable[bytes]) -> list[Claim]:
        """What its owner claims of ``units`` for its root; in a worker."""
        return list(self.ledger.claims.owned(policy.owner, policy.root, units))


def _some(claims: Iterator[Claim]) -> list[Claim]:
    return list(islice(claims, _AT_ONCE))
