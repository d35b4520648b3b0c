"""What a simulated machine keeps over a crash, and how faults reach it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from dhtstore.store.blocks.contract import BlockStore
from dhtstore.store.blocks.memory import Keep, MemoryBlockStore
from dhtstore.store.ledger.contract import KeyValue
from dhtstore.store.ledger.memory import MemoryKeyValue
from simulations.world.ports.lying_store import LyingBlockStore


class SimDisk:
    """Blocks and tables of one machine.  ``plug`` gives a node access, ``pull`` takes it away;
    ``keep`` is where the bytes of blocks go."""

    def __init__(self, capacity_bytes: int, keep: Keep) -> None:
        self._capacity_bytes, self._keep = capacity_bytes, keep
        self.in_memory = True  # no file takes more than what lies in it
        self._plugs: list[_Plug] = []
        self.wipe()

    def wipe(self) -> None:
        """A new, empty disk."""
        self.blocks = LyingBlockStore(MemoryBlockStore(self._capacity_bytes or None, self._keep))
        self.tables = MemoryKeyValue()

    def plug(self) -> tuple[BlockStore, KeyValue]:
        blocks, tables = _Plug(self.blocks), _Plug(self.tables)
        self._plugs = [blocks, tables]
        return cast(BlockStore, blocks), cast(KeyValue, tables)

    def pull(self) -> None:
        """The machine crashed: what no commit made durable is lost, and whatever of its code
        still runs is cancelled at its next touch of the disk."""
        for plug in self._plugs:
            plug.pulled = True
        self._plugs = []
        self.blocks.crash()


class _Plug:
    """Stands for a disk until it is pulled."""

    def __init__(self, inner: object) -> None:
        self._inner = inner
        self.pulled = False

    def __getattr__(self, name: str) -> Any:
        if self.pulled:
            raise asyncio.CancelledError("this machine has crashed")
        return getattr(self._inner, name)
