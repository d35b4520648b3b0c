"""Who holds the units that one command fetches from: found once, kept for all its fetches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dhtstore.errors import DhtstoreError, LocalProtocolError, Unreachable
from dhtstore.model.identity import PublicKey
from dhtstore.model.unit import Unit
from dhtstore.node.fetching.search import USUAL, HolderSearch, SearchExtent, Terms
from dhtstore.node.fetching.searching.busy import Again, BusyHolders, says_busy
from dhtstore.node.fetching.searching.unit_holders import UnitHolders
from dhtstore.node.links.link import Link
from dhtstore.node.links.tries import Try
from dhtstore.node.telling.account import HolderAccount
from dhtstore.node.telling.choosing import most_telling
from dhtstore.node.telling.giving_up import given_up
from dhtstore.node.telling.record import FetchRecord
from dhtstore.operations.explaining.causes import Cause, CauseKind
from dhtstore.operations.explaining.report import (
    FetchReport,
)
from dhtstore.params import LOOKUPS_PER_UNIT_MAX
from dhtstore.tasks import Supervisor


class HoldersListener(Protocol):
    """The fetch that is running."""

    def holder_found(self, key: PublicKey, unit: Unit) -> None: ...

    def holder_lost(self, key: PublicKey, why: str) -> None: ...

    def search_ended(self, known: UnitHolders | None) -> None: ...

    def holder_rests(self) -> None: ...


class Holders:
    """One link per peer, whatever the units it holds; who sent wrong bytes is banned."""

    def __init__(self, search: HolderSearch) -> None:
        self.banned: dict[PublicKey, None] = {}
        self.listener: HoldersListener | None = None
        self._search = search
        self._tasks = Supervisor(on_failure=self._search_failed)
        self._failure: BaseException | None = None
        self._units: dict[bytes, UnitHolders] = {}
        self._links: dict[PublicKey, Link] = {}
        self._terms: dict[PublicKey, Terms] = {}
        self.busy = BusyHolders(self._tasks, _Awaited(self))
        self.record = FetchRecord()

    async def close(self) -> None:
        """End the searches that are under way."""
        await self._tasks.close()

    def attach(self, listener: HoldersListener) -> None:
        """Tell ``listener`` what changes from now on; raises LocalProtocolError while another
        fetch of the same command runs."""
        if self.listener is not None:
            raise LocalProtocolError("a command fetches one thing after the other")
        self.listener = listener

    def detach(self) -> None:
        self.listener = None

    # --- what is known ----------------------------------------------------------------------

    def of(self, unit: Unit) -> UnitHolders:
        known = self._units.get(unit.name)
        if known is None:
            known = self._units[unit.name] = UnitHolders(unit)
        return known

    def link(self, key: PublicKey) -> Link:
        """The link to a holder that was found."""
        return self._links[key]

    def terms(self, key: PublicKey) -> Terms:
        """How such a holder is asked."""
        return self._terms.get(key, USUAL)

    def account(self, key: PublicKey) -> HolderAccount:
        return self.record.account(key)

    def report(self) -> FetchReport:
        """What was done so far, for whoever wants to know."""
        now_s = self.record.now()
        under_way = [each.told(now_s) for each in self._units.values() if each.searching]
        wanted = [each for each in self._units.values() if each.lookups or each.met]
        found = sum(bool(each.found) or each.met for each in wanted)
        return self.record.report(under_way, units=len(wanted), units_found=found)

    # --- searching --------------------------------------------------------------------------

    def search(self, known: UnitHolders, *, further: bool = False) -> None:
        """Look for holders of a unit, again maybe; the listener hears what is found.  ``further``
        while there are some: that it brings nobody says nothing of those."""
        known.searching, known.begun_s = True, self.record.now()
        known.searches += 0 if further else 1
        known.lookups += 1
        self._tasks.spawn(self._run_search(known, further), "find-holders")

    def prepare(self, unit: Unit) -> None:
        """Look for holders of a unit that will be wanted, if that was not done."""
        known = self.of(unit)
        if not (known.keys or known.searching or known.searches):
            self.search(known, further=True)

    def check(self) -> None:
        """Raises what ended a search that should not have ended so."""
        if self._failure is not None:
            raise self._failure

    async def _run_search(self, known: UnitHolders, further: bool) -> None:
        finds = _Finds(self, known, self._tried(known))
        known.unreachable, known.news = "", False
        try:
            await self._search.search(known.unit, finds)
        except Unreachable as error:
            known.unreachable = str(error)
        known.searching = False
        known.news = finds.news
        known.last_search = known.told(self.record.now(), finds.extent, finds.named)
        self.record.searched(known.last_search)
        if not (finds.anybody or further):
            known.searches = LOOKUPS_PER_UNIT_MAX
        if self.listener is not None:
            self.listener.search_ended(known)

    def _tried(self, known: UnitHolders) -> dict[PublicKey, None]:
        hopeless = self.record.hopeless()
        return {**known.found, **self.banned, **dict.fromkeys(hopeless)}

    def _search_failed(self, name: str, error: BaseException) -> None:
        self._failure = self._failure or error
        if self.listener is not None:
            self.listener.search_ended(None)

    # --- links ------------------------------------------------------------------------------

    def lacking(self, key: PublicKey, why: str) -> None:
        """Nothing else is wrong with a holder but that it lacks a block."""
        account = self.account(key)
        if account.cause is None:
            account.end(Cause(CauseKind.STALE, why))

    def add(self, link: Link, holds: UnitHolders, terms: Terms = USUAL) -> None:
        """One link per peer: another takes its place only when that one has ended."""
        key = link.public_key
        self._terms[key] = terms
        known = self._links.get(key)
        ended = known is not None and known is not link and not known.alive
        if known is not None and ended:  # what ended it, if anybody was told, stays its cause
            self.drop(known, Cause(CauseKind.LOST, "the connection ended"))
        self.account(key).reached(link.origin)
        if key in self.banned:
            return
        if known is None or ended:
            self._links[key] = link
        holds.keys[key] = None
        if self.listener is not None:
            self.listener.holder_found(key, holds.unit)

    def drop(self, link: Link, cause: Cause) -> None:
        """Ask a holder no more, until a search finds it again."""
        key = link.public_key
        if self._links.get(key) is not link:
            return
        account = self.account(key)
        if cause.kind is not CauseKind.LOST or account.owing:  # idle links may end at any time
            account.end(cause)
        for known in self._units.values():
            known.keys.pop(key, None)
        if self.listener is not None:
            self.listener.holder_lost(key, cause.why)

    def ban(self, link: Link, why: str) -> None:
        """Never ask this one again."""
        self.banned[link.public_key] = None
        self.drop(link, Cause(CauseKind.WRONG_BYTES, why))


@dataclass(frozen=True, slots=True)
class _Awaited:
    """What becomes of those that were busy when they were dialled."""

    holders: Holders

    def rests(self, key: PublicKey, cause: Cause) -> None:
        self.holders.account(key).rests(cause)
        if self.holders.listener is not None:
            self.holders.listener.holder_rests()

    def came(self, link: Link, known: UnitHolders) -> None:
        self.holders.add(link, known)

    def stays_away(self, key: PublicKey, cause: Cause) -> None:
        self.holders.account(key).lost_way(cause)
        if self.holders.listener is not None:
            self.holders.listener.search_ended(None)


@dataclass(slots=True)
class _Finds:
    """What one search finds."""

    holders: Holders
    known: UnitHolders
    tried: dict[PublicKey, None]
    anybody: bool = False
    news: bool = False
    extent: SearchExtent | None = None
    named: list[str] = field(default_factory=list)

    @property
    def banned(self) -> dict[PublicKey, None]:
        return self.holders.banned

    def gave(self, key: PublicKey) -> bool:
        return self.holders.account(key).delivered > 0

    def dialling(self, key: PublicKey) -> None:
        account = self.holders.account(key)
        account.named()
        account.trying += 1
        if account.node not in self.named:
            self.named.append(account.node)

    def dialled(self, key: PublicKey, tries: Sequence[Try]) -> None:
        self.holders.account(key).dialled(tries)

    def connected(self, link: Link, terms: Terms = USUAL) -> None:
        self._found(link.public_key)
        self.holders.add(link, self.known, terms)

    def waits(self, key: PublicKey) -> bool:
        waits = self.holders.busy.waits(key, self.known)
        if waits:
            self._found(key)
        return waits

    def unreached(self, key: PublicKey, cause: Cause, again: Again) -> None:
        self._found(key)
        if says_busy(cause):
            self.holders.busy.wait(key, self.known, cause, again)
        else:
            self.holders.account(key).lost_way(cause)

    def _found(self, key: PublicKey) -> None:
        self.holders.account(key).trying = 0
        self.anybody = True
        self.news = self.news or key not in self.tried
        self.known.found[key] = None

    def searched(self, extent: SearchExtent) -> None:
        self.known.extent, self.extent = extent.told, extent


def failure_of(cid: str, known: UnitHolders, holders: Holders) -> DhtstoreError:
    """Why nobody is left for a block of that unit, with ``causes`` and ``report``."""
    accounts = most_telling(holders.record.known(known.found))[0]
    told = [account.timeline() for account in accounts]
    error = given_up(cid, known.last_search, told, holders.report(), known.unreachable)
    error.causes = holders.record.causes
    return error
