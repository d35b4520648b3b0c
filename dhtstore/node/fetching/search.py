"""How holders of a unit are looked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from dhtstore.model.identity import PublicKey
from dhtstore.model.unit import Unit
from dhtstore.node.links.link import Link
from dhtstore.node.links.tries import Try
from dhtstore.operations.explaining.causes import Cause


@dataclass(frozen=True, slots=True)
class SearchExtent:
    """How far a search can be believed: ``told`` in words, if it found nobody.  Of ``asked`` nodes
    so many ``answered``; of ``expired`` providers they had only records that are out of time."""

    told: str
    asked: int = 0
    answered: int = 0
    expired: int = 0


class Finds(Protocol):
    """Takes what a search finds, as soon as it does, and tells what came of those found before."""

    @property
    def tried(self) -> Mapping[PublicKey, None]:
        """Those that were found for this unit before, or were of no use for another: each had its
        chance and is dialled again only for want of others."""

    @property
    def banned(self) -> Mapping[PublicKey, None]:
        """Those that sent wrong bytes: nobody is to dial them."""

    def gave(self, key: PublicKey) -> bool:
        """Whether blocks came from it."""

    def dialling(self, key: PublicKey) -> None:
        """Somebody is said to be a holder, and is dialled now."""

    def dialled(self, key: PublicKey, tries: Sequence[Try]) -> None:
        """What came of some of its addresses."""

    def connected(self, link: Link) -> None:
        """There is a link to a holder."""

    def unreached(self, key: PublicKey, cause: Cause) -> None:
        """There is a holder, and no way to it."""

    def searched(self, extent: SearchExtent) -> None:
        """The search is over."""


class HolderSearch(Protocol):
    async def search(self, unit: Unit, finds: Finds) -> None:
        """Look for holders of a unit, until there are no more to come.

        Called again when those found before are used up.  Nobody found is no error; that nobody
        could be asked is Unreachable.
        """


@dataclass(frozen=True, slots=True)
class FixedHolders:
    """These links and no others, whatever the unit."""

    links: Sequence[Link]

    async def search(self, unit: Unit, finds: Finds) -> None:
        for link in self.links:
            if link.alive:
                finds.connected(link)
