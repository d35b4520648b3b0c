"""Who can reach whom: partitions, machines that sleep, ways that are blocked."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from simulations.world.network.machine import Machine


class Reachability:
    """Of all machines of a network.  What cannot be delivered meanwhile can wait here."""

    def __init__(self) -> None:
        self._partitioned = self._divided = False
        self._asleep = 0
        self._no_datagrams: dict[tuple[Machine, Machine], None] = {}
        self._no_streams: dict[tuple[Machine, Machine], None] = {}
        self._stalled: list[Callable[[], None]] = []

    def between(self, a: Machine, b: Machine) -> bool:
        """Whether a datagram from a arrives at b."""
        return not self._divided or (_together(a, b) and (a, b) not in self._no_datagrams)

    def by_stream(self, a: Machine, b: Machine) -> bool:
        """Whether a segment of a stream does."""
        return not self._divided or (_together(a, b) and (a, b) not in self._no_streams)

    def when_changed(self, resume: Callable[[], None]) -> None:
        """Call ``resume`` once, when a partition heals, a machine wakes or a way opens."""
        self._stalled.append(resume)

    def partition(self, sides: Iterable[Iterable[Machine]]) -> None:
        """Only machines of the same side reach each other from now on."""
        for number, side in enumerate(sides, start=1):
            for machine in side:
                machine.side = number
        self._partitioned = self._divided = True

    def heal(self) -> None:
        self._partitioned = False
        self._changed()

    def sleep(self, machine: Machine, *, asleep: bool) -> None:
        self._asleep += asleep - machine.asleep
        machine.asleep = asleep
        self._changed()

    def block(self, a: Machine, b: Machine, *, datagrams: bool, streams: bool) -> None:
        """Nothing of these kinds gets from a to b from now on; the other direction is its own."""
        if datagrams:
            self._no_datagrams[a, b] = None
        if streams:
            self._no_streams[a, b] = None
        self._divided = True

    def unblock(self, a: Machine, b: Machine, *, datagrams: bool, streams: bool) -> None:
        if datagrams:
            self._no_datagrams.pop((a, b), None)
        if streams:
            self._no_streams.pop((a, b), None)
        self._changed()

    def _changed(self) -> None:
        blocked = bool(self._no_datagrams or self._no_streams)
        self._divided = self._partitioned or self._asleep > 0 or blocked
        stalled, self._stalled = self._stalled, []
        for resume in stalled:
            resume()


def _together(a: Machine, b: Machine) -> bool:
    return a.side == b.side and not (a.asleep or b.asleep)
