"""What use cases are handed: each takes the few of these that it needs, none the whole Node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from dhtstore.errors import NoRoom
from dhtstore.model.cid import Cid
from dhtstore.net.ports import Blocking, Clock
from dhtstore.params import STEP_BYTES, STEP_S
from dhtstore.store.blocks.contract import Batch, BlockStore, Reservation
from dhtstore.store.ledger.claims import Claims
from dhtstore.store.ledger.contract import KeyValue
from dhtstore.store.ledger.health.announced import Announced
from dhtstore.store.ledger.health.damage import Damage
from dhtstore.store.ledger.health.events import Events
from dhtstore.store.ledger.health.fellows import Fellows
from dhtstore.store.ledger.health.holders import HolderRows
from dhtstore.store.ledger.health.leaving import LeavingMark
from dhtstore.store.ledger.health.scrubbed import Scrubbed
from dhtstore.store.ledger.health.spent import Spent
from dhtstore.store.ledger.health.standing import LedgerStanding
from dhtstore.store.ledger.health.verifying import Verifying
from dhtstore.store.ledger.listing.places import HolderPlaces
from dhtstore.store.ledger.peers import Peers, SeenPeers
from dhtstore.store.ledger.pins import Pins
from dhtstore.store.ledger.puts import Puts, Receipts
from dhtstore.store.ledger.roots import Roots
from dhtstore.store.ledger.sequence import LastSequence
from dhtstore.store.ledger.shelf.records import KeptRecords
from dhtstore.store.ledger.tiers.cache import Cache
from dhtstore.store.ledger.tiers.removals import Removals
from dhtstore.trace import Tracer

if TYPE_CHECKING:  # whoever only reads the disk loads none of it
    from dhtstore.dht.service import DhtService
    from dhtstore.node.links.pool import Links


T = TypeVar("T")


async def _no_more(size_bytes: int) -> bool:
    """Where nothing gives way."""
    return False


async def _pass_over(cid: Cid) -> None:
    """Nobody is to be told."""


@dataclass(frozen=True, slots=True)
class Disk:
    """The blocks here, and where work on disk and hashing runs.

    ``make_room`` removes what nothing keeps where so many bytes are wanted, and says whether there
    was any.  ``on_renewed`` is told, in a worker, the multihashes of rotten blocks that a batch
    replaced; ``on_healed`` is called on the loop after that.  ``on_damaged`` is told of
    a block that was read and is not what its name says."""

    store: BlockStore
    blocking: Blocking
    on_renewed: Callable[[Collection[bytes]], None] = lambda multihashes: None
    on_healed: Callable[[], None] = lambda: None
    make_room: Callable[[int], Awaitable[bool]] = _no_more
    on_damaged: Callable[[Cid], Awaitable[None]] = _pass_over

    async def reserve(
        self,
        size_bytes: int,
        *,
        at_least: bool = False,
        collects: bool = True,
        blocks: int = 0,
    ) -> Reservation:
        """Set room aside, as ``BlockStore.reserve``, in a worker.  Where there is none, what
        nothing keeps gives way first, unless it is not to be waited for.  Raises NoRoom."""
        try:
            return await self._reserve(size_bytes, at_least=at_least, blocks=blocks)
        except NoRoom:
            if not (collects and await self.make_room(size_bytes)):
                raise
        return await self._reserve(size_bytes, at_least=at_least, blocks=blocks)

    async def _reserve(self, size_bytes: int, *, at_least: bool, blocks: int) -> Reservation:
        rooms: list[Reservation] = []

        def reserve() -> None:
            rooms.append(self.store.reserve(size_bytes, at_least=at_least, blocks=blocks))

        try:
            await self.blocking.run(reserve)
        except asyncio.CancelledError:
            for room in rooms:  # it was set aside for somebody who is gone
                room.release()
            raise
        return rooms[0]

    @asynccontextmanager
    async def batch(
        self, reservation: Reservation | None = None, *, whole: bool = False
    ) -> AsyncIterator[Batch]:
        """A batch that is opened and left off the event loop, whatever is cancelled meanwhile.
        Raises as ``BlockStore.batch``."""
        opened: list[Batch] = []

        def begin() -> None:
            opened.append(self.store.batch(reservation, whole=whole))

        try:
            await self.blocking.run(begin)
            yield opened[0]
        finally:
            for batch in opened:
                try:
                    await surely(self.blocking, partial(self._leave, batch))
                finally:
                    if batch.renewed:
                        self.on_healed()

    def _leave(self, batch: Batch) -> None:
        batch.close()
        if batch.renewed:
            self.on_renewed(batch.renewed)


@dataclass(frozen=True, slots=True)
class _Ended(Generic[T]):
    value: T


async def in_steps(
    blocking: Blocking, clock: Clock, work: Generator[int, None, T], told: Callable[[], None]
) -> T:
    """What ``work`` returns, which yields after how many bytes it may be left: others come in
    between and it can be cancelled there.  ``told`` is called then."""

    def advance() -> _Ended[T] | None:
        left_bytes, until_s = STEP_BYTES, clock.monotonic_s() + STEP_S
        try:
            while left_bytes > 0 and clock.monotonic_s() < until_s:
                left_bytes -= next(work)
        except StopIteration as ended:
            return _Ended(ended.value)
        return None

    try:
        while (ended := await blocking.run(advance)) is None:
            told()
        return ended.value
    finally:
        work.close()


async def surely(blocking: Blocking, function: Callable[[], None]) -> None:
    """Run it although we are being cancelled, and then be cancelled; it may run twice."""
    try:
        await blocking.run(function)
    except asyncio.CancelledError:
        await surely(blocking, function)
        raise


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is remembered beside the blocks, in ``table``.  Synchronous: run it through
    ``Disk.blocking``."""

    table: KeyValue
    claims: Claims
    pins: Pins
    puts: Puts
    receipts: Receipts
    places: HolderPlaces
    peers: Peers
    seen: SeenPeers
    records: KeptRecords
    roots: Roots
    damage: Damage
    scrubbed: Scrubbed
    announced: Announced
    verifying: Verifying
    standing: LedgerStanding
    sequence: LastSequence
    cache: Cache
    removals: Removals
    fellows: Fellows
    holders: HolderRows
    events: Events
    spent: Spent
    leaving: LeavingMark

    def name_of(self, root: Cid) -> str:
        """What it was put or pinned as here; "" if it was not, or has no name."""
        put = self.puts.get(root)
        return (put.name if put else "") or self.pins.name(root)

    @classmethod
    def of(cls, table: KeyValue, tracer: Tracer, own: bytes = b"") -> Ledger:
        """``own`` is the owner that this node belongs to."""
        roots = Roots(table, tracer)
        return cls(
            table=table,
            claims=Claims(table, tracer, own),
            pins=Pins(table, roots, tracer),
            puts=Puts(table, roots, tracer),
            receipts=Receipts(table, roots, tracer),
            places=HolderPlaces(table, tracer),
            peers=Peers(table, tracer),
            seen=SeenPeers(table, tracer),
            records=KeptRecords(table, tracer),
            roots=roots,
            damage=Damage(table),
            scrubbed=Scrubbed(table, tracer),
            announced=Announced(table, tracer),
            verifying=Verifying(table, tracer),
            standing=LedgerStanding(table),
            sequence=LastSequence(table, tracer),
            cache=Cache(table, tracer),
            removals=Removals(table),
            fellows=Fellows(table, tracer),
            holders=HolderRows(table, tracer),
            events=Events(table, tracer),
            spent=Spent(table, tracer),
            leaving=LeavingMark(table),
        )


@dataclass(frozen=True, slots=True)
class Reach:
    """How other nodes are found and talked to."""

    dht: DhtService
    links: Links
