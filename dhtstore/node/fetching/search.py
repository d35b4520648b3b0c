"""How holders of a unit are looked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from dhtstore.model.identity import DhtKey, PublicKey
from dhtstore.model.unit import Unit
from dhtstore.node.links.link import Link
from dhtstore.node.links.tries import Try
from dhtstore.operations.explaining.causes import Cause
from dhtstore.params import RELAY_GAPS, RELAY_LAST_S, RELAY_SILENCE_MAX_S, RELAY_SILENCE_S


@dataclass(frozen=True, slots=True)
class SearchExtent:
    """How far a search can be believed: ``told`` in words, if it found nobody.  Of ``asked`` nodes
    so many ``answered``; of ``expired`` providers they had only records that are out of time."""

    told: str
    asked: int = 0
    answered: int = 0
    expired: int = 0


@dataclass(slots=True)
class Heard:
    """When one of those who give what comes to them gave something last, or began to be asked."""

    at_s: float


class Patience:
    """How long one who gives what comes to itself may be silent: longer where blocks come slowly,
    and the longer the more it has before it, who have their own silences; all who are asked one
    after the other no longer than the uploader waits."""

    def __init__(self, before: int, heard: Heard) -> None:
        self._before, self._heard = before, heard
        self._last_s: float | None = None
        self._gap_s: float | None = None

    def came(self, now_s: float) -> None:
        """Something came."""
        if self._last_s is not None:
            self._gap_s = max(self._gap_s or 0.0, now_s - self._last_s)
        self._last_s = self._heard.at_s = now_s

    def silence_s(self, now_s: float) -> float:
        gap_s = RELAY_SILENCE_S if self._gap_s is None else RELAY_GAPS * self._gap_s
        left_s = max(RELAY_LAST_S, RELAY_SILENCE_MAX_S - (now_s - self._heard.at_s))
        return min(left_s, max(RELAY_SILENCE_S, gap_s) * self._before)


@dataclass(frozen=True, slots=True)
class Terms:
    """How a holder is asked: ``coming`` is the unit that it is receiving itself, of which it gives
    what it has as soon as that comes, and ``patience`` says how long that may take; it is asked
    only for what those of lower ``rank`` fail to give; ``relaying`` is whether that goes on to
    others at once."""

    coming: DhtKey | None = None
    rank: int = 0
    patience: Patience | None = None
    relaying: bool = False

    @property
    def scheduled(self) -> tuple[int, bool]:
        """What the scheduler is to know."""
        return self.rank, self.relaying


USUAL: Final = Terms()


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

    def connected(self, link: Link, terms: Terms = USUAL) -> None:
        """There is a link to a holder, who is asked on these terms from now on."""

    def waits(self, key: PublicKey) -> bool:
        """Whether that one is busy and dialled again later: nobody else is to dial it."""

    def unreached(self, key: PublicKey, cause: Cause, again: Callable[[], Awaitable[Link]]) -> None:
        """There is a holder, and no way to it, or it has no time: then it is dialled ``again``."""

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
