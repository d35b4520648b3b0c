"""Who holds the units that one command fetches from: found once, kept for all its fetches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

from dhtstore.errors import LocalProtocolError, Unreachable
from dhtstore.model.identity import PublicKey, format_node, node_id
from dhtstore.model.unit import Unit, unit_text
from dhtstore.node.fetching.search import HolderSearch
from dhtstore.node.links.link import Link
from dhtstore.operations.content import FetchReport, HolderShare, UnitSearch
from dhtstore.params import LOOKUPS_PER_UNIT_MAX, PROVIDERS_PER_KEY_MAX
from dhtstore.tasks import Supervisor

_SEARCHES_TOLD_MAX: Final = 16  # a large file has hundreds of units


@dataclass(slots=True)
class HolderAccount:
    """``unreached`` is why the holder could not be connected to, the last time that failed; the
    other fields are those of HolderShare."""

    node: str
    connected: bool = False
    unreached: str = ""
    asked: int = 0
    delivered: int = 0
    delivered_bytes: int = 0
    lacked: int = 0
    refused: str = ""
    failed: str = ""

    @property
    def hopeless(self) -> bool:
        """Whether it never let us in, or turned us down then."""
        return bool(self.refused) or (bool(self.unreached) and not self.connected)

    def share(self) -> HolderShare:
        """As it stands now."""
        return HolderShare(
            node=self.node,
            asked=self.asked,
            delivered=self.delivered,
            delivered_bytes=self.delivered_bytes,
            lacked=self.lacked,
            refused=self.refused,
            failed=self.failed,
        )


@dataclass(slots=True)
class UnitHolders:
    """What is known of one unit's holders."""

    unit: Unit
    keys: dict[PublicKey, None] = field(default_factory=dict)  # that have a link
    found: dict[PublicKey, None] = field(default_factory=dict)  # ever, reached or not
    news: bool = False  # whether the last search found somebody that none had found before
    searching: bool = False
    searches: int = 0  # since the last block of this unit
    extent: str = ""  # how far the last search can be believed, if it found nobody
    unreachable: str = ""  # why the last search asked nobody

    def search_told(self) -> UnitSearch:
        """What came of the last search, or of the one that is under way."""
        told = "the search is not over" if self.searching else self.unreachable or self.extent
        return UnitSearch(unit_text(self.unit.name), len(self.found), told)

    @property
    def exhausted(self) -> bool:
        """Whether there were enough searches: while they find others, those are asked too, up to
        as many as index nodes keep."""
        more = self.news and len(self.found) < PROVIDERS_PER_KEY_MAX
        return self.searches >= LOOKUPS_PER_UNIT_MAX and not more


class HoldersListener(Protocol):
    """The fetch that is running."""

    def holder_found(self, key: PublicKey, unit: Unit) -> None: ...

    def holder_lost(self, key: PublicKey, why: str) -> None: ...

    def search_ended(self, known: UnitHolders | None) -> None: ...


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
        self._accounts: dict[PublicKey, HolderAccount] = {}

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

    def account(self, key: PublicKey) -> HolderAccount:
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = HolderAccount(format_node(node_id(key)))
        return account

    def shares(self) -> list[HolderShare]:
        """What each did that was found, in the order of finding."""
        return [account.share() for account in self._accounts.values()]

    def report(self) -> FetchReport:
        """What was done so far, for whoever wants to know why it was not enough."""
        searched = [known for known in self._units.values() if known.searches or known.extent]
        latest = [known.search_told() for known in searched[-_SEARCHES_TOLD_MAX:]]
        return FetchReport(latest, self.shares())

    @property
    def connected(self) -> list[str]:
        """The nodes that there were links to."""
        return [account.node for account in self._accounts.values() if account.connected]

    @property
    def unreached(self) -> dict[str, str]:
        """Why others could not be connected to (node -> reason)."""
        return {a.node: a.unreached for a in self._accounts.values() if a.unreached}

    @property
    def causes(self) -> dict[str, str]:
        """What went wrong with whom (node -> reason)."""
        accounts = self._accounts.values()
        return {a.node: a.failed or a.refused for a in accounts if a.failed or a.refused}

    # --- searching --------------------------------------------------------------------------

    def search(self, known: UnitHolders, *, further: bool = False) -> None:
        """Look for holders of a unit, again maybe; the listener hears what is found.  ``further``
        while there are some: that it brings nobody says nothing of those."""
        known.searching = True
        known.searches += 0 if further else 1
        self._tasks.spawn(self._run_search(known, further), "find-holders")

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
        if not (finds.anybody or further):
            known.searches = LOOKUPS_PER_UNIT_MAX
        if self.listener is not None:
            self.listener.search_ended(known)

    def _tried(self, known: UnitHolders) -> dict[PublicKey, None]:
        hopeless = [key for key, account in self._accounts.items() if account.hopeless]
        return {**known.found, **self.banned, **dict.fromkeys(hopeless)}

    def _search_failed(self, name: str, error: BaseException) -> None:
        self._failure = self._failure or error
        if self.listener is not None:
            self.listener.search_ended(None)

    # --- links ------------------------------------------------------------------------------

    def add(self, link: Link, holds: UnitHolders) -> None:
        """One link per peer: another takes its place only when that one has ended."""
        key = link.public_key
        self.account(key).connected = True
        if key in self.banned:
            return
        known = self._links.get(key)
        if known is None or (known is not link and not known.alive):
            if known is not None:
                self.drop(known, failed="the connection ended")
            self._links[key] = link
        holds.keys[key] = None
        if self.listener is not None:
            self.listener.holder_found(key, holds.unit)

    def drop(self, link: Link, *, failed: str = "", refused: str = "") -> None:
        """Ask a holder no more, until a search finds it again."""
        key = link.public_key
        if self._links.get(key) is not link:
            return
        account = self.account(key)
        account.failed, account.refused = failed or account.failed, refused or account.refused
        for known in self._units.values():
            known.keys.pop(key, None)
        if self.listener is not None:
            self.listener.holder_lost(key, failed or refused)

    def ban(self, link: Link, why: str) -> None:
        """Never ask this one again."""
        self.banned[link.public_key] = None
        self.drop(link, failed=why)


@dataclass(slots=True)
class _Finds:
    """What one search finds."""

    holders: Holders
    known: UnitHolders
    tried: dict[PublicKey, None]
    anybody: bool = False
    news: bool = False

    @property
    def banned(self) -> dict[PublicKey, None]:
        return self.holders.banned

    def gave(self, key: PublicKey) -> bool:
        return self.holders.account(key).delivered > 0

    def connected(self, link: Link) -> None:
        self._found(link.public_key)
        self.holders.add(link, self.known)

    def unreached(self, key: PublicKey, why: str) -> None:
        self._found(key)
        account = self.holders.account(key)
        account.unreached = account.failed = why

    def _found(self, key: PublicKey) -> None:
        self.anybody = True
        self.news = self.news or key not in self.tried
        self.known.found[key] = None

    def searched(self, extent: str) -> None:
        self.known.extent = extent
