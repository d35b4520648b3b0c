"""Fetch what a walk wants: from the local store and from many peers, verified, within a window.

data path: walk -> wants -> local store, else lookup of the unit -> scheduler -> links -> frames
-> verified in a worker thread -> walk -> output -> sink.
Memory holds what was asked for and not yet written: FETCH_MEMORY_BYTES, whatever the file.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from dhtstore.content.dag.walk import Leaf, Output, Piece, Walk, Want
from dhtstore.errors import (
    BlockDamaged,
    BlockMissing,
    DhtstoreError,
    IntegrityFailure,
    LocalProtocolError,
    NotFound,
    TimedOut,
    Unreachable,
)
from dhtstore.model.cid import Cid
from dhtstore.model.identity import PublicKey, format_node, node_id
from dhtstore.model.unit import Unit
from dhtstore.node.context import Disk
from dhtstore.node.fetching.sources import Sources
from dhtstore.node.links.link import Arrival, Link
from dhtstore.params import (
    BLOCK_SIZE_MAX_BYTES,
    FETCH_MEMORY_BYTES,
    FETCH_VERIFY_BYTES,
    FETCH_VERIFY_DELAY_S,
    FETCH_WANTS_MAX,
    LOOKUPS_PER_UNIT_MAX,
    WANTS_PER_REQUEST_MAX,
)
from dhtstore.tasks import Supervisor
from dhtstore.transfer.in_order import InOrder
from dhtstore.transfer.scheduler import Scheduler

Bytes = bytes | memoryview
Keep = Callable[[list[tuple[Cid, Bytes]]], None]
Sink = Callable[[list[Output]], Awaitable[None]]
Verified = list[tuple[Want, Bytes]]
_Arrived = tuple[Link, Want, Bytes]


async def _no_output(outputs: Sequence[Output]) -> None:
    if outputs:
        raise LocalProtocolError("this walk yields blocks, not output")


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where what is fetched goes.

    ``sink`` is awaited with output, one call at a time, and holds the rest back while it waits;
    directories and files come before what is in them, pieces in any order, or in order with
    ``in_order``.  ``keep`` gets verified blocks that came from peers, in worker threads, maybe
    several at a time, before the walk sees them.  A leaf that ``have`` says the output holds
    already is not fetched.  ``progress`` gets the block bytes done so far.
    """

    sink: Sink = _no_output
    in_order: InOrder | None = None
    keep: Keep | None = None
    have: Callable[[Leaf], bool] | None = None
    progress: Callable[[int], None] = lambda done_bytes: None


async def fetch(
    walk: Walk,
    sources: Sources,
    delivery: Delivery,
    *,
    disk: Disk,
    timeout_s: float | None = None,
) -> None:
    """Drive ``walk`` to its end.

    Raises NotFound (nobody provides a unit), Unreachable (providers, but none gives the block),
    IntegrityFailure (those that answered sent wrong bytes), TimedOut, each with ``causes`` (node
    -> what went wrong there); and whatever the walk and the sink raise.
    """
    work = _Fetch(walk, sources, delivery, disk)
    try:
        async with asyncio.timeout(timeout_s):
            await work.run()
    except TimeoutError as error:
        raise _with_causes(TimedOut(f"not done within {timeout_s:g} s"), work.causes) from error
    finally:
        await work.tasks.close()


class _Holders:
    """What is known of one unit's holders."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.looking = False
        self.lookups = 0  # since the last block of this unit
        self.anybody = False


class _Fetch:
    def __init__(self, walk: Walk, sources: Sources, delivery: Delivery, disk: Disk) -> None:
        self._walk, self._sources, self._sink = walk, sources, delivery.sink
        self._store, self._blocking = disk.store, disk.blocking
        self._in_order, self._keep = delivery.in_order, delivery.keep
        self._have, self._progress = delivery.have, delivery.progress
        self.tasks = Supervisor(on_failure=self._on_failure)
        self.causes: dict[str, str] = {}
        self._scheduler: Scheduler[PublicKey] = Scheduler()
        self._links: dict[PublicKey, Link] = {}
        self._banned: set[PublicKey] = set()
        self._holders: dict[bytes, _Holders] = {}
        self._backlog: deque[Want] = deque()  # from the walk, waiting for room
        self._wants: dict[int, Want] = {}
        self._open_bytes = 0  # of wants not accepted yet, as their parents claim
        self._unwritten_bytes = 0
        self._unverified_bytes = 0
        self._arrived: list[_Arrived] = []  # waiting to be verified together
        self._verify_timer: asyncio.TimerHandle | None = None
        self._done_bytes = 0
        self._outputs: list[Output] = []
        self._writing = False
        self._failure: BaseException | None = None
        self._wake = asyncio.Event()
        self._room = asyncio.Event()

    async def run(self) -> None:
        clock = asyncio.get_running_loop().time
        self._emit(self._walk.opening)
        while not self._finished:
            if self._failure is not None:
                raise self._failure
            await self._take_wants()
            for ask in self._scheduler.next(clock()):
                wants = [self._wants[sequence] for sequence in ask.wants]
                self.tasks.spawn(self._request(self._links[ask.source], wants), "get-blocks")
            self._look_for_holders()
            await self._sleep(self._scheduler.hedge_due_s(clock()))

    @property
    def _finished(self) -> bool:
        return self._walk.done and not self._outputs and not self._writing and not self._failure

    async def _sleep(self, at_most_s: float | None) -> None:
        try:
            async with asyncio.timeout(at_most_s):
                await self._wake.wait()
        except TimeoutError:
            return  # time to hedge
        self._wake.clear()

    def _on_failure(self, name: str, error: BaseException) -> None:
        self._failure = self._failure or error
        self._wake.set()

    # --- what is wanted ---------------------------------------------------------------------

    async def _take_wants(self) -> None:
        """Take wants from the walk while there is room for what they bring."""
        while self._has_room():
            if not self._backlog:
                self._backlog.extend(self._walk.next(WANTS_PER_REQUEST_MAX))
            if not self._backlog:
                return
            await self._start([want for want in self._batch() if not self._skipped(want)])

    def _has_room(self) -> bool:
        """Room for a good part of the window, or nothing under way that could make room."""
        room = self._used_bytes <= FETCH_MEMORY_BYTES * 3 // 4
        few = len(self._wants) < FETCH_WANTS_MAX
        return (room and few) or not (self._wants or self._writing)

    @property
    def _used_bytes(self) -> int:
        return self._open_bytes + self._unwritten_bytes

    def _batch(self) -> list[Want]:
        """As many wants as there is room for, but one at least."""
        batch = [self._backlog.popleft()]
        used = self._used_bytes + _size_bytes(batch[0])
        while self._backlog and used + _size_bytes(self._backlog[0]) <= FETCH_MEMORY_BYTES:
            batch.append(self._backlog.popleft())
            used += _size_bytes(batch[-1])
        return batch

    def _skipped(self, want: Want) -> bool:
        leaf = self._walk.leaf(want) if self._have else None
        if leaf is None or self._have is None or not self._have(leaf):
            return False
        self._walk.skip(want)
        self._wake.set()  # it may have been the last
        return True

    async def _start(self, wants: list[Want]) -> None:
        if not wants:
            return
        for want in wants:
            self._wants[want.sequence] = want
            self._open_bytes += _size_bytes(want)
        missing = await self._blocking.run(self._store.missing, [want.cid for want in wants])
        absent = {cid.multihash for cid in missing}
        local = [want for want in wants if want.cid.multihash not in absent]
        if local:
            self.tasks.spawn(self._read_local(local), "read-local")
        for want in wants:
            if want.cid.multihash in absent:
                self._schedule(want)

    def _schedule(self, want: Want) -> None:
        self._holders.setdefault(want.unit.name, _Holders(want.unit))
        self._scheduler.want(want.sequence, want.unit.name, _size_bytes(want))

    async def _read_local(self, wants: list[Want]) -> None:
        for want in wants:
            try:
                data = await self._blocking.run(self._store.get, want.cid)
            except (BlockMissing, BlockDamaged):
                self._schedule(want)
                self._wake.set()
            else:
                self._accept([(want, data)])

    # --- who gives it -----------------------------------------------------------------------

    def _look_for_holders(self) -> None:
        """Start lookups for units that no source is left for; give up when they bring none."""
        for sequence in self._scheduler.stuck():
            holders = self._holders[self._wants[sequence].unit.name]
            if holders.looking:
                continue
            if holders.lookups >= LOOKUPS_PER_UNIT_MAX:
                self._give_up(sequence, holders)
            holders.looking = True
            holders.lookups += 1
            self.tasks.spawn(self._look(holders), "find-holders")

    async def _look(self, holders: _Holders) -> None:
        found = await self._sources.for_unit(holders.unit)
        holders.looking = False
        holders.anybody = holders.anybody or bool(found.links or found.causes)
        if not found.links and not found.causes:
            holders.lookups = LOOKUPS_PER_UNIT_MAX
        self.causes.update(found.causes)
        for link in found.links:
            if link.public_key not in self._banned:
                self._add(link, holders.unit)
        self._wake.set()

    def _add(self, link: Link, unit: Unit) -> None:
        """One link per peer: another takes its place only when that one has ended."""
        known = self._links.get(link.public_key)
        if known is not None and known is not link:
            if known.alive:
                link = known
            else:
                self._drop(known, "the connection ended")
        self._links[link.public_key] = link
        self._scheduler.add_source(link.public_key, unit.name)

    def _give_up(self, sequence: int, holders: _Holders) -> NoReturn:
        cid = self._wants[sequence].cid
        self.causes.update(
            {_name(key): why for key, why in self._scheduler.causes(sequence).items()}
        )
        error: DhtstoreError
        if not holders.anybody:
            error = NotFound(f"nobody provides {cid}")
        elif self._banned:
            error = IntegrityFailure(f"no holder gives the right bytes of {cid}")
        else:
            error = Unreachable(f"no provider gives {cid}")
        raise _with_causes(error, self.causes)

    # --- what comes -------------------------------------------------------------------------

    async def _request(self, link: Link, wants: Sequence[Want]) -> None:
        """One request to one peer; its failure costs its own blocks only."""

        async def on_arrival(arrival: Arrival) -> None:
            await self._on_arrival(link, wants, arrival)

        try:
            await link.get_blocks([want.cid for want in wants], on_arrival)
        except DhtstoreError as error:
            self._drop(link, str(error))

    def _drop(self, link: Link, why: str) -> None:
        if self._links.get(link.public_key) is link:
            self.causes[_name(link.public_key)] = why
            self._scheduler.fail(link.public_key, why)
            self._wake.set()

    async def _on_arrival(self, link: Link, wants: Sequence[Want], arrival: Arrival) -> None:
        """Hand blocks to a worker thread; wait, and let the peer wait, when it can't keep up."""
        source, now = link.public_key, asyncio.get_running_loop().time()
        for index in arrival.missing:
            self._scheduler.lacks(source, wants[index].sequence, "does not have the block")
        blocks: Verified = []
        for index, data in arrival.blocks:
            if self._scheduler.arrived(source, wants[index].sequence, len(data), now):
                blocks.append((wants[index], data))
        self._wake.set()
        if blocks:
            self._unverified_bytes += sum(len(data) for _, data in blocks)
            self._arrived += [(link, want, data) for want, data in blocks]
            self._verify_soon()
        while self._unverified_bytes > FETCH_MEMORY_BYTES:
            self._room.clear()
            await self._room.wait()

    def _verify_soon(self) -> None:
        """Verify what has arrived: now if it is much or nothing else is due, else in a moment,
        together with what comes until then."""
        much = sum(len(data) for _, _, data in self._arrived) >= FETCH_VERIFY_BYTES
        if much or len(self._arrived) >= self._scheduler.unfinished:
            self._verify_now()
        elif self._verify_timer is None:
            loop = asyncio.get_running_loop()
            self._verify_timer = loop.call_later(FETCH_VERIFY_DELAY_S, self._verify_now)

    def _verify_now(self) -> None:
        if self._verify_timer is not None:
            self._verify_timer.cancel()
            self._verify_timer = None
        arrived, self._arrived = self._arrived, []
        if arrived and not self.tasks.closed:
            self.tasks.spawn(self._verify(arrived), "verify")

    async def _verify(self, arrived: list[_Arrived]) -> None:
        blocks = [(want, data) for _, want, data in arrived]
        good = await self._blocking.run(verify_and_keep, blocks, self._keep)
        self._unverified_bytes -= sum(len(data) for _, data in blocks)
        self._room.set()
        self._accept([pair for pair, right in zip(blocks, good, strict=True) if right])
        for (link, want, _), right in zip(arrived, good, strict=True):
            if right:
                self._holders[want.unit.name].lookups = 0
            else:
                self._banned.add(link.public_key)
                self._scheduler.retry(want.sequence)
                self._drop(link, f"sent wrong bytes for {want.cid}")

    def _accept(self, blocks: Verified) -> None:
        for want, data in blocks:
            if self._wants.pop(want.sequence, None) is None:
                continue  # a second source was asked, and both gave it
            self._scheduler.finish(want.sequence)
            self._open_bytes -= _size_bytes(want)
            self._done_bytes += len(data)
            self._emit(self._walk.accept(want, data))
        self._progress(self._done_bytes)
        self._wake.set()

    # --- what goes out ----------------------------------------------------------------------

    def _emit(self, outputs: Sequence[Output]) -> None:
        self._unwritten_bytes += _piece_bytes(outputs)
        self._outputs += self._in_order.pass_on(outputs) if self._in_order else outputs
        if self._outputs and not self._writing:
            self._writing = True
            self.tasks.spawn(self._write(), "write-output")

    async def _write(self) -> None:
        while self._outputs:
            outputs, self._outputs = self._outputs, []
            await self._sink(outputs)
            self._unwritten_bytes -= _piece_bytes(outputs)
            self._wake.set()
        self._writing = False
        self._wake.set()


def verify_and_keep(blocks: Verified, keep: Keep | None) -> list[bool]:
    """Which blocks hash to their CIDs; those are kept.  Runs in a worker thread."""
    good = [want.cid.matches(data) for want, data in blocks]
    if keep is not None:
        keep([(w.cid, data) for (w, data), right in zip(blocks, good, strict=True) if right])
    return good


def _size_bytes(want: Want) -> int:
    """What a want may bring: its parent's claim, within what a block may be."""
    return min(max(want.size_hint_bytes, 1), BLOCK_SIZE_MAX_BYTES)


def _piece_bytes(outputs: Sequence[Output]) -> int:
    return sum(len(output.data) for output in outputs if isinstance(output, Piece))


def _name(key: PublicKey) -> str:
    return format_node(node_id(key))


def _with_causes(error: DhtstoreError, causes: dict[str, str]) -> DhtstoreError:
    error.causes = dict(causes)
    return error
