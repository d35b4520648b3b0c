"""What faults and lost disks took from nodes, so that no checker holds them to it."""

from __future__ import annotations

from collections.abc import Collection, Mapping


class DamageRecord:
    """Of each node: since when its data is gone, which of its blocks rotted, and whether it lies
    by design."""

    def __init__(self) -> None:
        self._since_s: dict[int, float] = {}
        self._rotten: dict[int, dict[bytes, float]] = {}
        self._liars: dict[int, None] = {}

    def data_lost(self, node: int, now_s: float) -> None:
        """Promises that the node made before do not hold it any more."""
        self._since_s[node] = now_s

    def rotted(self, node: int, multihash: bytes, now_s: float) -> None:
        """Promises that it made before and that need this block do not hold it any more."""
        self._rotten.setdefault(node, {})[multihash] = now_s

    def lies(self, node: int) -> None:
        """It serves wrong bytes from now on."""
        self._liars[node] = None

    def honest(self, node: int) -> bool:
        return node not in self._liars

    def since(self, node: int, stored_s: float) -> bool:
        """Whether the node lost all its data at that virtual time or later."""
        return self._since_s.get(node, -1.0) >= stored_s

    def rotten(self, node: int) -> Mapping[bytes, float]:
        """Blocks of it that rotted, mended ones too, by multihash: when that was."""
        return self._rotten.get(node, {})

    def took_of(self, node: int, blocks: Collection[bytes], stored_s: float) -> bool:
        """Whether one of these blocks rotted there at that time or later."""
        return any(at_s >= stored_s and one in blocks for one, at_s in self.rotten(node).items())
