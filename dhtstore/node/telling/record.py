"""The record of one command's fetches: its lookups and its holders, as a bounded report."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from dhtstore.model.identity import PublicKey, format_node, node_id
from dhtstore.node.telling.account import HolderAccount
from dhtstore.node.telling.choosing import most_telling
from dhtstore.operations.explaining.report import (
    SEARCHES_TOLD_MAX,
    FetchReport,
    HolderTimeline,
    UnitSearch,
)
from dhtstore.operations.operation import HolderProgress

_DETAILED_MAX: Final = 1024  # holders whose addresses are remembered


class FetchRecord:
    """Times count from when it was made or first asked for within a loop."""

    def __init__(self) -> None:
        self._began_s: float | None = None
        self._accounts: dict[PublicKey, HolderAccount] = {}
        self._detailed: deque[HolderAccount] = deque()
        self._searches: deque[UnitSearch] = deque(maxlen=SEARCHES_TOLD_MAX)
        self._searches_count = 0
        self._held_since_s: float | None = None  # while the limit of this node holds it up
        self._held_s = 0.0

    def now(self) -> float:
        """Seconds since the command began to fetch."""
        now_s = asyncio.get_running_loop().time()
        self._began_s = now_s if self._began_s is None else self._began_s
        return now_s - self._began_s

    def account(self, key: PublicKey) -> HolderAccount:
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = HolderAccount(format_node(node_id(key)), self.now)
            self._detailed.append(account)
            if len(self._detailed) > _DETAILED_MAX:
                self._detailed.popleft().tries.clear()
        return account

    @property
    def accounts(self) -> Iterable[HolderAccount]:
        """In the order of finding."""
        return self._accounts.values()

    def hopeless(self) -> list[PublicKey]:
        """Those that never let us in, or turned us down then."""
        return [key for key, account in self._accounts.items() if account.hopeless]

    def known(self, keys: Iterable[PublicKey]) -> list[HolderAccount]:
        """Those of them that were found."""
        return [self._accounts[key] for key in keys if key in self._accounts]

    def searched(self, search: UnitSearch) -> None:
        """A lookup is over."""
        self._searches.append(search)
        self._searches_count += 1

    def held(self, waits: bool) -> None:
        """From now on it waits for its turn within ``limit_down``, or does no more."""
        if self._held_since_s is not None:
            self._held_s += self.now() - self._held_since_s
        self._held_since_s = self.now() if waits else None

    # --- what it comes to -------------------------------------------------------------------

    def shares(self) -> list[HolderTimeline]:
        """What each did that was found, in the order of finding."""
        return [account.timeline() for account in self.accounts]

    def given(self) -> list[HolderProgress]:
        """How much each gave, and who is busy."""
        return [
            HolderProgress(each.node, each.delivered_bytes, busy=each.resting)
            for each in self.accounts
        ]

    @property
    def connected(self) -> list[str]:
        """The nodes that there were links to."""
        return [account.node for account in self.accounts if account.connected]

    @property
    def unreached(self) -> dict[str, str]:
        """Why others could not be connected to (node -> reason)."""
        return {each.node: each.unreached for each in self._told() if each.unreached}

    @property
    def causes(self) -> dict[str, str]:
        """What went wrong with whom (node -> reason)."""
        return {each.node: each.cause.why for each in self._told() if each.cause}

    def _told(self) -> list[HolderAccount]:
        return most_telling(list(self.accounts))[0]

    def report(
        self, under_way: Sequence[UnitSearch], *, units: int, units_found: int
    ) -> FetchReport:
        """All of it as it stands; ``under_way`` are lookups that are not over."""
        told, untold = most_telling(list(self._accounts.values()))
        searches = [*self._searches, *under_way]
        return FetchReport(
            searches=searches[-SEARCHES_TOLD_MAX:],
            holders=[account.timeline() for account in told],
            untold=untold,
            searches_count=self._searches_count + len(searches) - len(self._searches),
            holders_count=len(self._accounts),
            units=units,
            units_found=units_found,
            took_s=self.now(),
            limited_s=self._limited_s(),
            doing=self._doing(searching=bool(under_way)),
        )

    def _limited_s(self) -> float:
        since_s = self._held_since_s
        return self._held_s + (0.0 if since_s is None else self.now() - since_s)

    def _doing(self, *, searching: bool) -> str:
        """What is under way, in words."""
        owing = [account for account in self.accounts if account.owing]
        if owing:
            return f"waiting for blocks of {_named(owing)}"
        busy = [account for account in self.accounts if account.resting]
        if busy and not searching:
            return f"waiting until {_named(busy)} has time: busy"
        if searching:
            dialled = [account for account in self.accounts if account.trying]
            to = f", dialling {_named(dialled)}" if dialled else ""
            return f"looking for holders{to}"
        if self._held_since_s is not None:
            return "waiting for its turn within limit_down of this node"
        return "reading and writing here"


def _named(accounts: Sequence[HolderAccount]) -> str:
    """One by its id, several by their number."""
    return f"node {accounts[0].node}" if len(accounts) == 1 else f"{len(accounts)} nodes"
