"""What a simulated machine keeps over a crash, and how faults reach it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from dhtstore.errors import DhtstoreError
from dhtstore.store.blocks.contract import BlockStore
from dhtstore.store.blocks.memory import Keep, MemoryBlockStore
from dhtstore.store.ledger.contract import KeyValue
from dhtstore.store.ledger.memory import MemoryKeyValue
from simulations.world.ports.blocking import InlineBlocking
from simulations.world.ports.lying_store import LyingBlockStore


class CrashedMeanwhile(DhtstoreError):
    """The node that was to do something crashed while it did."""


class SimDisk:
    """Blocks and tables of one machine.  ``plug`` gives a node access, ``pull`` takes it away;
    ``keep`` is where the bytes of blocks go, None for a copy."""

    def __init__(self, capacity_bytes: int, keep: Keep | None = None) -> None:
        self._capacity_bytes, self._keep = capacity_bytes, keep
        self.in_memory = True  # no file takes more than what lies in it
        self._plugs: list[_Plug] = []
        self.faults: list[str] = []  # what could not be opened after a crash
        self.wipe()

    def wipe(self) -> None:
        """A new, empty disk."""
        self.blocks = LyingBlockStore(MemoryBlockStore(self._capacity_bytes or None, self._keep))
        self.tables: KeyValue = MemoryKeyValue()

    def plug(self) -> tuple[BlockStore, KeyValue]:
        blocks, tables = _Plug(self.blocks), _Plug(self.tables)
        self._plugs = [blocks, tables]
        return cast(BlockStore, blocks), cast(KeyValue, tables)

    def blocking(self, inner: InlineBlocking) -> InlineBlocking:
        """What a new life of its machine works with."""
        return inner

    def stop_after(self, changes: int | None, on_stop: Callable[[], None]) -> bool:
        """Let nothing be written after so many changes of its files from now (None: for ever), and
        call ``on_stop``, which is to pull, when the call that made the last has come to its end.
        False for memory, which has no moments at which some of a call is done."""
        return False

    def pull(self, *, power_lost: bool) -> None:
        """The machine crashed: what no commit made durable is lost, and whatever of its code
        still runs is cancelled at its next touch of the disk.  Memory knows no difference between
        a power cut and a process that was killed."""
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
