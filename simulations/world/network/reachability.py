"""Who can reach whom: partitions, and machines that sleep."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from simulations.world.network.machine import Machine


class Reachability:
    """Of all machines of a network.  What cannot be delivered meanwhile can wait here."""

    def __init__(self) -> None:
        self._partitioned = self._divided = False
        self._asleep = 0
        self._stalled: list[Callable[[], None]] = []

    def between(self, a: Machine, b: Machine) -> bool:
        """Whether a message from a arrives at b."""
        return not self._divided or (a.side == b.side and not (a.asleep or b.asleep))

    def when_changed(self, resume: Callable[[], None]) -> None:
        """Call ``resume`` once, when a partition heals or a machine wakes."""
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

    def _changed(self) -> None:
        self._divided = self._partitioned or self._asleep > 0
        stalled, self._stalled = self._stalled, []
        for resume in stalled:
            resume()
