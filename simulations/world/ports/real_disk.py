"""The real block store and the real ledger, in files of a folder that goes with the run.

Whatever a store changes there is seen (``world.files``).  A crash makes a new folder of what its
machine's disk may hold then, on which both are opened again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from dhtstore.errors import DhtstoreError
from dhtstore.params import MIB
from dhtstore.store.blocks.contract import BlockStore
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.ledger.contract import KeyValue
from dhtstore.store.ledger.sqlite import SqliteKeyValue
from simulations.errors import NO_ROOM, NoRoomHere
from simulations.seeds import derived_seed
from simulations.world.files.folders import WatchedFolder, WatchedFolders
from simulations.world.files.sqlite_vfs import sqlite_shim
from simulations.world.files.system_calls import SystemCalls
from simulations.world.files.write_cache import Luck, write_image
from simulations.world.ports.blocking import InlineBlocking
from simulations.world.ports.disks import CrashedMeanwhile, SimDisk
from simulations.world.ports.lying_store import LyingBlockStore

T = TypeVar("T")
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a file system whose fsync costs nothing
_BESIDE_BYTES: Final = 64 * MIB  # of a disk, beside what its node may fill twice
_BROKEN: Final = (DhtstoreError, OSError, sqlite3.Error)


class RealDisks:
    """The disks of all machines of a world, in one temporary folder."""

    def __init__(
        self, seed: int, luck: Luck, pack_size_bytes: int, now_s: Callable[[], float]
    ) -> None:
        """Raises SimulationError where SQLite cannot be watched."""
        self.seed, self.luck, self.now_s = seed, luck, now_s
        self.pack_size_bytes = pack_size_bytes
        self._shim = sqlite_shim()
        where = _MEMORY if os.access(_MEMORY, os.W_OK) else None
        self._folder = tempfile.TemporaryDirectory(prefix="dhtstore-simulation-", dir=where)
        self.folders = WatchedFolders(Path(self._folder.name).resolve())
        self._calls = SystemCalls(self.folders)
        self._made: list[RealDisk] = []

    def __call__(self, number: int, capacity_bytes: int) -> RealDisk:
        """That of one machine."""
        disk = RealDisk(self, number, capacity_bytes)
        self._made.append(disk)
        return disk

    @contextmanager
    def watched(self) -> Iterator[None]:
        """What happens within the block is seen.  Raises NoRoomHere if no more can be written."""
        try:
            with self._calls.in_place(), self._shim.default(self.folders):
                yield
        except Exception as error:
            if self.folders.full:
                where = self.folders.base.parent
                raise NoRoomHere(f"no room is left in {where}, where its disks lie") from error
            raise

    def close(self) -> None:
        """Take everything away."""
        for disk in self._made:
            disk.close()
        self._folder.cleanup()


class RealDisk(SimDisk):
    """That of one machine; what lies on it is opened when somebody asks for it."""

    _folder: WatchedFolder

    def __init__(self, disks: RealDisks, number: int, capacity_bytes: int) -> None:
        self._disks, self._number, self._made = disks, number, 0
        self._on_stop: Callable[[], None] = _nobody_waits
        self._store = _Reopened(self._open_store)
        self._ledger = _Reopened(self._open_ledger)
        super().__init__(capacity_bytes)
        self.in_memory = False

    def wipe(self) -> None:
        self._remake({})
        self.blocks = LyingBlockStore(cast(BlockStore, self._store))
        self.tables = cast(KeyValue, self._ledger)

    def pull(self, *, power_lost: bool) -> None:
        cache = self._folder.cache
        chance = random.Random(derived_seed(self._disks.seed, f"disk/{self._number}/{self._made}"))
        image = cache.image(chance, self._disks.luck) if power_lost else cache.now()
        super().pull(power_lost=power_lost)
        self._remake(image)

    def stop_after(self, changes: int | None, on_stop: Callable[[], None]) -> bool:
        self._on_stop = on_stop
        self._folder.stop_after(changes)
        return True

    def blocking(self, inner: InlineBlocking) -> InlineBlocking:
        return _PoweredBlocking(self, inner)

    @property
    def folder(self) -> WatchedFolder:
        """As it is since the last crash."""
        return self._folder

    def has_stopped(self) -> None:
        """Tell who waits for it, and pulls."""
        self._on_stop()

    def close(self) -> None:
        """May be called twice."""
        for one in (self._store, self._ledger):
            with contextlib.suppress(*_BROKEN):
                one.close()

    # --- folders ----------------------------------------------------------------------------

    def _remake(self, image: Mapping[str, bytes]) -> None:
        """Go on with that in a new folder."""
        self.close()
        if self._made:
            self._disks.folders.drop(self._name)
            shutil.rmtree(self._folder.path)
        self._made += 1
        directory = self._disks.folders.base / self._name
        (directory / "blocks").mkdir(parents=True, mode=0o700)
        try:
            write_image(dict(image), directory)
        except OSError as error:
            if error.errno in NO_ROOM:
                self._disks.folders.out_of_room()
            raise
        self._folder = self._disks.folders.add(self._name, self._free_bytes)

    @property
    def _name(self) -> str:
        return f"{self._number}-{self._made}"

    def _free_bytes(self) -> int:
        size_bytes = 2 * self._capacity_bytes + _BESIDE_BYTES
        return max(0, size_bytes - self._folder.cache.used_bytes)

    # --- what is in them --------------------------------------------------------------------

    def _open_store(self) -> DiskBlockStore:
        return self._opened("the block store", self._new_store)

    def _open_ledger(self) -> SqliteKeyValue:
        return self._opened("the ledger", self._new_ledger)

    def _new_store(self) -> DiskBlockStore:
        return DiskBlockStore(
            Path(self._folder.path) / "blocks",
            self._capacity_bytes or None,
            pack_size_bytes=self._disks.pack_size_bytes,
            now_s=self._disks.now_s,
        )

    def _new_ledger(self) -> SqliteKeyValue:
        return SqliteKeyValue(Path(self._folder.path) / "ledger.sqlite")

    def _opened(self, what: str, opened: Callable[[], T]) -> T:
        """A disk that cannot be opened is told once, and is an empty one from then on."""
        try:
            return opened()
        except _BROKEN as error:
            self.faults.append(f"{what} cannot be opened after a crash: {error}")
            self._remake({})
            return opened()


def _nobody_waits() -> None:
    """For a disk that is not to stop."""


class _Reopened:
    """Stands for what is opened at its first use, and again at the first after it was closed."""

    def __init__(self, opened: Callable[[], Any]) -> None:
        self._opened = opened
        self._now: Any = None

    def __getattr__(self, name: str) -> Any:
        if self._now is None:
            self._now = self._opened()
        return getattr(self._now, name)

    def close(self) -> None:
        now, self._now = self._now, None
        if now is not None:
            now.close()


class _PoweredBlocking(InlineBlocking):
    """What one life of a node does with its disk: nothing, once its machine has crashed."""

    def __init__(self, disk: RealDisk, inner: InlineBlocking) -> None:
        super().__init__()
        self._disk, self._folder, self._inner = disk, disk.folder, inner

    async def run(self, function: Callable[..., T], *args: object) -> T:
        return await self._inner.run(self._work, function, *args)

    def _work(self, function: Callable[..., T], *args: object) -> T:
        if self._folder is not self._disk.folder:  # not CancelledError: some try again after that
            raise CrashedMeanwhile("this machine has crashed")
        try:
            return function(*args)
        finally:
            if self._folder.stopped:
                self._disk.has_stopped()
                raise asyncio.CancelledError("this machine has crashed")
