"""Loss in bursts: the model of Gilbert (1960) and Elliott (1963), in continuous time.

The access line of each machine is well or in a burst, for exponential times.  Out of bursts nothing
gets lost; within one each packet does with the same probability, both ways: a radio link that
fades.  A packet crosses two lines, and the shares of time are such that over all ways and times
the given share is lost.
"""

from __future__ import annotations

import math
import random

from simulations.world.network.machine import Machine


class Bursts:
    """``mean_s`` is the length of a burst, ``in_burst`` the share that is lost within one; raises
    ValueError unless it is more than ``loss``, the share lost in all."""

    def __init__(self, rng: random.Random, loss: float, mean_s: float, in_burst: float) -> None:
        if not 0 < loss < in_burst:
            raise ValueError(f"bursts that lose {in_burst:g} cannot lose {loss:g} in all")
        self._rng, self._in_burst = rng, in_burst
        self._share = (1 - math.sqrt(1 - loss)) / in_burst  # of time that a line is in a burst
        self._memory_s = mean_s * (1 - self._share)  # of a chain with these two mean times
        self._lines: dict[Machine, tuple[bool, float]] = {}

    def lose(self, a: Machine, b: Machine, now_s: float) -> bool:
        """Whether a packet from a to b at ``now_s`` gets lost; times never go back."""
        at_a, at_b = self._in_burst_now(a, now_s), self._in_burst_now(b, now_s)
        return any(self._rng.random() < self._in_burst for at in (at_a, at_b) if at)

    def _in_burst_now(self, machine: Machine, now_s: float) -> bool:
        """The chain's state, drawn only when somebody asks: by its state when last asked."""
        before = self._lines.get(machine)
        if before is not None and before[1] == now_s:
            return before[0]
        share = self._share
        if before is not None:
            share += (before[0] - share) * math.exp((before[1] - now_s) / self._memory_s)
        state = self._rng.random() < share
        self._lines[machine] = (state, now_s)
        return state
