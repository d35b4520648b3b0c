"""Clock in virtual time (``dhtstore.net.ports``)."""

from __future__ import annotations

from simulations.world.loop.virtual_loop import VirtualLoop

EPOCH_UNIX_S = 1_800_000_000.0  # what wall clocks show when virtual time is 0


class SimClock:
    """Virtual time; ``skew_s`` is how far this node's wall clock is off (its loop's is not)."""

    def __init__(self, loop: VirtualLoop, skew_s: float = 0.0) -> None:
        self._loop, self.skew_s = loop, skew_s

    def monotonic_s(self) -> float:
        return self._loop.time()

    def unix_s(self) -> float:
        return EPOCH_UNIX_S + self._loop.time() + self.skew_s
