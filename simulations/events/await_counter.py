"""Strikes a node at its n-th await from now: crashes between any two steps of its code."""

from __future__ import annotations

import contextvars
from collections.abc import Callable

from simulations.world.loop.current_node import CURRENT_NODE, NOBODY
from simulations.world.loop.virtual_loop import VirtualLoop


class AwaitCounter:
    """Calls back just before a node's code goes on after its n-th await from now.

    It watches the loop only while something is armed.
    """

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._armed: dict[int, tuple[int, Callable[[], None]]] = {}

    def arm(self, node: int, awaits: int, action: Callable[[], None]) -> None:
        """Replaces what was armed for that node."""
        self._armed[node] = (awaits, action)
        self._loop.on_step = self._step

    def disarm(self, node: int) -> None:
        self._armed.pop(node, None)
        if not self._armed:
            self._loop.on_step = None

    def _step(self, context: contextvars.Context) -> None:
        node = context.get(CURRENT_NODE, NOBODY)
        armed = self._armed.get(node)
        if armed is None:
            return
        awaits, action = armed
        if awaits > 1:
            self._armed[node] = (awaits - 1, action)
            return
        self.disarm(node)
        action()
