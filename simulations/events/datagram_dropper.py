"""Datagrams of chosen kinds that vanish while a fault lasts."""

from __future__ import annotations

from collections.abc import Callable

from dhtstore.model.contact import Address


class DatagramDropper:
    """Drops datagrams of the kinds that are switched on; the network's ``drops``."""

    def __init__(self, kind_of: Callable[[bytes], str]) -> None:
        self._kind_of = kind_of
        self._dropped: dict[str, int] = {}
        self.count = 0

    def begin(self, kind: str) -> None:
        self._dropped[kind] = self._dropped.get(kind, 0) + 1

    def end(self, kind: str) -> None:
        self._dropped[kind] -= 1

    def __call__(self, source: Address, target: Address, data: bytes) -> bool:
        dropped = bool(self._dropped) and self._dropped.get(self._kind_of(data), 0) > 0
        self.count += dropped
        return dropped
