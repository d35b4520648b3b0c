"""The onlooker that a run can have: every message becomes part of an exchange."""

from __future__ import annotations

from collections.abc import Callable

from simulations.messages.datagrams import DatagramTalk
from simulations.messages.exchange import Exchange
from simulations.messages.streams import StreamTalk


class Onlooker:
    """A ``world.watcher.Watcher``; ``tell`` is handed each exchange as it ends."""

    def __init__(self, tell: Callable[[Exchange], None]) -> None:
        datagrams, streams = DatagramTalk(tell), StreamTalk(tell)
        self.datagram, self.arrived = datagrams.sent, datagrams.arrived
        self.perished = datagrams.perished
        self.dialled, self.opened = streams.dialled, streams.opened
        self.wrote, self.ended = streams.wrote, streams.ended
        self._close = (datagrams.close, streams.close)

    def close(self, now_s: float) -> None:
        """The run is over: tell what was not answered."""
        for close in self._close:
            close(now_s)
