"""A block store that lives in memory: for simulation, ten thousand in one process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Final, Protocol

from dhtstore.errors import BlockDamaged, BlockMissing, LocalProtocolError
from dhtstore.model.block import stored_bytes
from dhtstore.model.cid import Cid
from dhtstore.store.blocks.collecting.kept import Kept
from dhtstore.store.blocks.collecting.protections import Protected, Protections
from dhtstore.store.blocks.contract import Lend, Reservation, Swept
from dhtstore.store.blocks.lent import Bytes, LentBlocks
from dhtstore.store.blocks.quota import Quota, Room, own_room
from dhtstore.store.space import Space

SWEPT_AT_ONCE: Final = 1000


class KeptBytes(Protocol):
    """The bytes of a block, or what gives them."""

    def __len__(self) -> int: ...

    def __bytes__(self) -> bytes: ...


Keep = Callable[[bytes, Bytes], KeptBytes]  # of a block with that multihash


class MemoryBlockStore:
    """A BlockStore whose durability ends with the process.  ``keep`` says what becomes of the bytes
    of a block: many stores in one process need not each have their own."""

    __slots__ = ("_blocks", "_keep", "_lock", "_protections", "_quota", "_whole")

    def __init__(self, capacity_bytes: int | None = None, keep: Keep | None = None) -> None:
        self._blocks: dict[bytes, tuple[int, KeptBytes]] = {}  # multihash -> codec, data
        self._keep = keep or _copied
        self._quota = Quota(capacity_bytes)
        self._lock = threading.Lock()
        self._protections = Protections()
        self._whole: list[MemoryBatch] = []  # those that are open

    def has(self, cid: Cid) -> bool:
        return cid.multihash in self._blocks

    def missing(self, cids: Sequence[Cid]) -> list[Cid]:
        return [cid for cid in cids if cid.multihash not in self._blocks]

    def sizes(self, cids: Sequence[Cid]) -> list[int | None]:
        entries = [self._blocks.get(cid.multihash) for cid in cids]
        return [None if entry is None else len(entry[1]) for entry in entries]

    def get(self, cid: Cid, *, afresh: bool = False) -> bytes:
        data = self.read(cid)
        if not cid.matches(data):
            raise BlockDamaged(f"block {cid} is damaged")
        return data

    def read(self, cid: Cid, lend: Lend | None = None) -> bytes:
        entry = self._blocks.get(cid.multihash)
        if entry is None:
            raise BlockMissing(f"block {cid} is not held here")
        return bytes(entry[1])

    def held(self, cid: Cid) -> KeptBytes | None:
        """What was kept for the bytes of a block."""
        entry = self._blocks.get(cid.multihash)
        return None if entry is None else entry[1]

    def batch(self, reservation: Reservation | None = None, *, whole: bool = False) -> MemoryBatch:
        batch = MemoryBatch(self, own_room(reservation), whole=whole)
        if whole:
            self._whole.append(batch)
        return batch

    def settle(self) -> bool:
        return False

    def reserve(self, size_bytes: int, *, at_least: bool = False, blocks: int = 0) -> Room:
        return self._quota.reserve(size_bytes, at_least=at_least, blocks=blocks)

    def space(self) -> Space:
        return self._quota.space()

    def lent(self) -> LentBlocks:
        return LentBlocks(None)

    def delete(self, cids: Iterable[Cid]) -> None:
        with self._lock:
            for cid in cids:
                if any(cid.multihash in batch.relied for batch in self._whole):
                    continue
                entry = self._blocks.pop(cid.multihash, None)
                if entry is not None:
                    self._quota.give_back(_taken(cid.multihash, *entry))

    @property
    def rebuilt(self) -> bool:
        return False

    def compaction(self) -> NoCompaction:
        return NoCompaction()

    def protect(self) -> Protected:
        return self._protections.open()

    def sweep(self, kept: Kept, after: bytes = b"", *, dry_run: bool = False) -> Swept:
        with self._lock:
            left = sorted(key for key in self._blocks if key > after)
            page, last = left[:SWEPT_AT_ONCE], len(left) <= SWEPT_AT_ONCE
            gone = [key for key in page if key not in kept and key not in self._protections]
            gone = [key for key in gone if not any(key in batch.relied for batch in self._whole)]
            size_bytes = sum(len(self._blocks[key][1]) for key in gone)
            for key in () if dry_run else gone:
                self._quota.give_back(_taken(key, *self._blocks.pop(key)))
            return Swept(None if last else page[-1], len(gone), size_bytes)

    def cids(self, after: bytes = b"") -> Iterator[Cid]:
        with self._lock:
            entries = [(key, codec) for key, (codec, _) in self._blocks.items() if key > after]
        return (Cid(bytes((1, codec)) + multihash) for multihash, codec in sorted(entries))

    def count(self) -> int:
        return len(self._blocks)

    @property
    def used_bytes(self) -> int:
        return self._quota.used_bytes

    @property
    def capacity_bytes(self) -> int | None:
        return self._quota.capacity_bytes

    def set_capacity(self, capacity_bytes: int | None) -> None:
        self._quota.set_capacity(capacity_bytes)

    def close(self) -> None:
        """Nothing is held open."""


class NoCompaction:
    """Nothing dead stays in memory."""

    def __init__(self) -> None:
        self.copied_bytes = self.freed_bytes = 0
        self.damaged: list[Cid] = []
        self.full = False

    def look(self) -> bool:
        return False

    def dead_bytes(self) -> tuple[int, int]:
        return 0, 0

    def step(self) -> bool:
        return False

    def close(self) -> None:
        """Nothing was begun."""


class MemoryBatch:
    """Staged blocks of one MemoryBlockStore."""

    __slots__ = (
        "_anew",
        "_closed",
        "_lock",
        "_over",
        "_room",
        "_staged",
        "_store",
        "_whole",
        "relied",
        "renewed",
    )

    def __init__(self, store: MemoryBlockStore, room: Room | None, *, whole: bool) -> None:
        self._store, self._whole = store, whole
        self._over = False  # a whole batch that was committed
        self.relied: set[bytes] = set()  # of a whole batch: not to be deleted before it is left
        self._anew: set[bytes] = set()  # of those staged
        self.renewed: set[bytes] = set()
        self._room = room
        self._staged: dict[bytes, tuple[int, KeptBytes, int | None]] = {}  # ..., bytes charged
        self._closed = False
        self._lock = threading.Lock()

    def put(self, cid: Cid, data: Bytes, *, anew: bool = False) -> bool:
        multihash = cid.multihash
        self._store._protections.note((multihash,))
        with self._lock:
            self._check_open()
            staged = self._staged.get(multihash)
            if staged is not None and (staged[2] is not None or not anew):
                return staged[2] is not None
            stored = self._store._blocks.get(multihash)
            # A stored block is staged too, at no cost: a delete before commit must not lose it.
            if stored is not None and not anew:
                self._staged[multihash] = (*stored, None)
                if self._whole:
                    self.relied.add(multihash)
                return False
            taken = _taken(multihash, cid.codec, data)
            self._store._quota.take(taken, self._room)
            self._staged[multihash] = (cid.codec, self._store._keep(multihash, data), taken)
            if anew:
                self._anew.add(multihash)
            return True

    def put_all(self, blocks: Sequence[tuple[Cid, Bytes]], *, anew: bool = False) -> list[bool]:
        return [self.put(cid, data, anew=anew) for cid, data in blocks]

    def read(self, cid: Cid) -> bytes:
        staged = self._staged.get(cid.multihash)
        if staged is not None and staged[2] is not None:
            data = bytes(staged[1])
            if cid.matches(data):
                return data
        raise BlockMissing(f"block {cid} is not staged here")

    def commit(self) -> None:
        blocks = self._store._blocks
        with self._lock, self._store._lock:
            self._check_open()
            for multihash in sorted(self._anew & blocks.keys()):
                self._store._quota.give_back(_taken(multihash, *blocks.pop(multihash)))
            for multihash, (codec, data, charged) in self._staged.items():
                cost = 0 if multihash in blocks else _taken(multihash, codec, data)
                blocks.setdefault(multihash, (codec, data))
                if charged != cost:  # another batch stored it, or a delete took it, meanwhile
                    self._store._quota.give_back((charged or 0) - cost)
            if self._whole:
                self.relied |= self._staged.keys()
                self._over = True
            self.renewed |= self._anew
            self._staged.clear()
            self._anew.clear()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            staged = sum(charged or 0 for _, _, charged in self._staged.values())
            self._staged.clear()
            self._store._quota.give_back(staged)
            if self in self._store._whole:
                self._store._whole.remove(self)

    def __enter__(self) -> MemoryBatch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise LocalProtocolError("a batch is used after it was left")
        if self._over:
            raise LocalProtocolError("a whole batch is used after its commit")


def _copied(multihash: bytes, data: Bytes) -> bytes:
    return bytes(data)


def _taken(multihash: bytes, codec: int, data: KeptBytes | Bytes) -> int:
    """What the block would take on a disk, so that simulated quotas mean what real ones do."""
    return stored_bytes(Cid(bytes((1, codec)) + multihash), len(data))
