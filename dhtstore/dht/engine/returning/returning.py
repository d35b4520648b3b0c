"""Asks those again who went from the table together: it may be that they were not heard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from dhtstore.dht.core.newcomers.departed import Departed
from dhtstore.dht.core.peer import Peer
from dhtstore.dht.core.table import Table
from dhtstore.dht.engine.calls import Calls
from dhtstore.params import DEPARTED_LOOK_S
from dhtstore.wire.datagram import FindNode, Response

if TYPE_CHECKING:
    from dhtstore.net.ports import Clock


class Returning:
    """One node's.  ``on_lost`` is told when nobody is left in the table."""

    def __init__(self, table: Table, calls: Calls, clock: Clock) -> None:
        self._table, self._calls, self._clock = table, calls, clock
        self._departed, self._closed = Departed(), False
        self._timer: asyncio.TimerHandle | None = None
        self.on_lost: Callable[[], object] = _nothing

    def gone(self, peer: Peer, *, believed: bool) -> None:
        """One went from the table; a newcomer, unless it was ``believed`` in."""
        now = self._clock.monotonic_s()
        self._departed.add(peer, now, believed=believed)
        self._wait(now)
        if not len(self._table):
            self.on_lost()

    def close(self) -> None:
        """Nobody is asked any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self, now: float) -> None:
        if self._timer is None and not self._closed and self._departed.many(now, len(self._table)):
            self._timer = asyncio.get_running_loop().call_later(DEPARTED_LOOK_S, self._look)

    def _look(self) -> None:
        """A pong would not do: it does not end a silence to what a node is for."""
        self._timer = None
        question = FindNode(self._table.node.id)
        now, much_lost = self._clock.monotonic_s(), self._calls.rtt.much_lost
        for peer in self._departed.due(now, len(self._table), much_lost=much_lost):
            self._calls.ask(peer, question, self._asked, attempts=1)
        self._wait(now)

    def _asked(self, peer: Peer, response: Response | None) -> None:
        """Who stood the test of time before it went need not stand it again."""
        if response is not None and self._departed.back(peer):
            self._table.newcomers.leave(peer)


def _nothing() -> None:
    """Before somebody wants to know."""
