"""The contract of block stores.  Synchronous and thread-safe: callers run them through
``net.Blocking``.  tests/conformance holds every implementation to what is written here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import NamedTuple, Protocol

from dhtstore.model.cid import Cid
from dhtstore.store.blocks.collecting.kept import Kept
from dhtstore.store.blocks.lent import Bytes, LentBlocks
from dhtstore.store.space import Space

Lend = Callable[[int], memoryview]  # a buffer of that size


class Reservation(Protocol):
    """Room set aside under the quota; counts as used until released."""

    size_bytes: int

    def release(self) -> None:
        """Give back what is left of it; may be called twice."""


class Batch(Protocol):
    """Blocks that become durable and readable together.

    ``put`` may be called from several threads.  ``close``, or leaving the ``with`` block, discards
    what was put since the last commit; a crash does the same.  A batch that was left raises
    LocalProtocolError.  All of it works on the disk: none of it belongs on an event loop.

    A *whole* batch is committed once, and nothing can be put after that.  What it stored and what
    it found stored is not deleted by anybody before it is closed, so that a claim can be written
    first.  It takes bounded memory however many blocks it has, but for those put anew, and while
    it is committed nobody waits long for the store; then ``BlockStore.settle`` is to be called.
    """

    @property
    def renewed(self) -> set[bytes]:
        """Multihashes of the blocks put anew whose commit is done."""

    def put(self, cid: Cid, data: Bytes, *, anew: bool = False) -> bool:
        """Stage a block whose bytes the caller has verified against ``cid``; the buffer of ``data``
        may be used for others when it returns.

        A block that is stored already costs nothing and returns False: its bytes on disk were
        not looked at.  True means written by this batch, now or before.  With ``anew`` it is
        written although it is stored, and the commit replaces the stored copy; until then, and
        without one, that stays what it is.  Raises NoRoom when the reservation, the quota or the
        disk is full; the batch may still be discarded cleanly.
        """

    def put_all(self, blocks: Sequence[tuple[Cid, Bytes]], *, anew: bool = False) -> list[bool]:
        """As ``put`` of each, with one look at what is stored and one at what there is room for.
        Raises NoRoom if there is none for all that are not stored; then some of them may be
        staged."""

    def read(self, cid: Cid) -> bytes:
        """A block that this batch has written, verified against its CID; for who may see it before
        the commit.  Raises BlockMissing, also where the write of it is not done yet, and once the
        batch was left."""

    def commit(self) -> None:
        """Returns after everything put so far is fsynced and indexed: the point where blocks
        become readable and may be acknowledged.  May be called many times."""

    def close(self) -> None:
        """Leave it; may be called twice.  Raises nothing of the disk's: what cannot be cut off now
        counts as used until it can."""

    def __enter__(self) -> Batch: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Compaction(Protocol):
    """One round over all packs, in steps of some milliseconds; one thread at a time.

    ``copied_bytes`` so far, and ``freed_bytes``, which is less until packs go.  ``damaged`` names
    some of the blocks that were met and are not what they are called; they are left or carried
    along as they are.  ``full`` once there was no room for a copy."""

    copied_bytes: int
    damaged: list[Cid]
    full: bool

    @property
    def freed_bytes(self) -> int: ...

    def look(self) -> bool:
        """A step of looking how much is dead, which ``step`` begins with; False when that is
        done.  Raises HomeUnusable."""

    def dead_bytes(self) -> tuple[int, int]:
        """After that: all there are, and those of packs that are worth the work."""

    def step(self) -> bool:
        """False at the end.  Takes room for what it copies, beforehand.  Raises HomeUnusable, and
        NoRoom of the index; then, and whenever it is given up, ``close`` is due."""

    def close(self) -> None:
        """What was copied and is not needed goes.  May be called twice."""


class Protection(Protocol):
    """While it is open, no sweep takes what any batch writes or finds stored."""

    def close(self) -> None:
        """May be called twice."""


class Swept(NamedTuple):
    """What one step of a sweep took, or would have taken, ``size_bytes`` as the blocks are long.
    ``after`` is where the next begins; None at the end."""

    after: bytes | None
    blocks: int
    size_bytes: int


class BlockStore(Protocol):
    """Durable blocks, keyed by multihash (a CIDv0 and a CIDv1 of the same bytes are one)."""

    def has(self, cid: Cid) -> bool: ...

    def missing(self, cids: Sequence[Cid]) -> list[Cid]:
        """Those not held, in order; one index query for all."""

    def sizes(self, cids: Sequence[Cid]) -> list[int | None]:
        """The length of each block in bytes, None of one that is not held; one index query."""

    def get(self, cid: Cid, *, afresh: bool = False) -> bytes:
        """The block, verified against its CID; ``afresh`` as the disk has it, and not as the system
        remembers it.  Raises BlockMissing or BlockDamaged, and HomeUnusable where nothing can be
        said of it now."""

    def read(self, cid: Cid, lend: Lend | None = None) -> bytes | memoryview:
        """The block, not verified: for serving to a peer, who verifies it anyway.  A store that has
        to copy it does so into a buffer that is lent, if any."""

    def batch(self, reservation: Reservation | None = None, *, whole: bool = False) -> Batch:
        """Start a batch.  With a reservation it writes what was set aside and not a byte more;
        raises LocalProtocolError for one of another store, NoRoom on a disk that takes no writes.
        """

    def settle(self) -> bool:
        """Do a part of what is left to do of large commits, which are valid without that: a few
        milliseconds.  False if nothing is left, or can be done now: the next open does it."""

    def reserve(self, size_bytes: int, *, at_least: bool = False, blocks: int = 0) -> Reservation:
        """Set room aside; raises NoRoom if quota or disk cannot hold it.  A batch writes not a byte
        more; one with what it needs ``at_least`` takes more as others do, if there is more.  Where
        it is told how many ``blocks`` come, the quota does not refuse one whole batch of no more
        at its commit."""

    def space(self) -> Space:
        """How much room there is now.  Asks the disk; raises HomeUnusable where that fails."""

    def lent(self) -> LentBlocks:
        """A table of blocks that are not stored, to be closed.  It lies where the blocks do, and
        counts as used by nobody.  Raises NoRoom, HomeUnusable."""

    def delete(self, cids: Iterable[Cid]) -> None:
        """Forget blocks; those not held are passed over.  Space returns when it can."""

    @property
    def rebuilt(self) -> bool:
        """Whether its index was lost and built anew: what was deleted may be there again."""

    def compaction(self) -> Compaction:
        """Begin to give room back that deleted blocks take.  Raises NoRoom on a disk that takes no
        writes."""

    def protect(self) -> Protection:
        """Open a protection; takes memory for what it protects, which is bounded: beyond that
        sweeps take nothing while it is open."""

    def sweep(self, kept: Kept, after: bytes = b"", *, dry_run: bool = False) -> Swept:
        """One step, of some milliseconds: blocks that are not in ``kept``, not protected and relied
        on by no batch are forgotten; a ``dry_run`` counts them.  Raises NoRoom, HomeUnusable."""

    def cids(self, after: bytes = b"") -> Iterator[Cid]:
        """Every block held whose multihash is above ``after``, by multihash, as CIDv1 with the
        codec it was stored by.  Those stored or deleted meanwhile may be among them or not."""

    def count(self) -> int: ...

    @property
    def used_bytes(self) -> int:
        """What counts against the quota: bytes of all files of the store, reservations, and what
        is set aside for the index."""

    @property
    def capacity_bytes(self) -> int | None:
        """The hard quota; None for no quota (then only the disk limits)."""

    def set_capacity(self, capacity_bytes: int | None) -> None:
        """From now on.  Below what is used nothing new is taken, and nothing goes by itself."""

    def close(self) -> None: ...
