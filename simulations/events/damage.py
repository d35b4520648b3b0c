"""What faults and lost disks took from nodes, so that no checker holds them to it."""

from __future__ import annotations


class DamageRecord:
    """Of each node: since when its data is gone or damaged, and whether it lies by design."""

    def __init__(self) -> None:
        self._since_s: dict[int, float] = {}
        self._liars: dict[int, None] = {}

    def data_lost(self, node: int, now_s: float) -> None:
        """Promises that the node made before do not hold it any more."""
        self._since_s[node] = now_s

    def lies(self, node: int) -> None:
        """It serves wrong bytes from now on."""
        self._liars[node] = None

    def honest(self, node: int) -> bool:
        return node not in self._liars

    def since(self, node: int, stored_s: float) -> bool:
        """Whether the node lost or damaged data at that virtual time or later."""
        return self._since_s.get(node, -1.0) >= stored_s
