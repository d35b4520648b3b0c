"""Room comes back: what nothing keeps is removed, in steps, and packs are compacted.

data path: claims that are over end -> marks -> sweep -> compaction.  What operations under way
bring is protected meanwhile (``guards``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from dhtstore.config import counted
from dhtstore.net.ports import Clock
from dhtstore.node.context import Disk, Ledger, surely
from dhtstore.node.keeping.collected import Collected
from dhtstore.node.keeping.ending.overdue import Overdue
from dhtstore.node.keeping.ending.running import RunTime
from dhtstore.node.keeping.guards import Guards
from dhtstore.node.keeping.lost_ledger import LostLedger
from dhtstore.node.keeping.marks import Marks, Over, never
from dhtstore.node.warnings import Warnings
from dhtstore.operations.operation import Progress, Watch, unwatched
from dhtstore.params import COLLECT_STEP_PAUSE_S
from dhtstore.store.ledger.health.running import RunningTime
from dhtstore.store.ledger.tiers.cache import CacheEntry
from dhtstore.tasks import Alarm

_DOUBT: Final = "collect-doubt"  # what a warning is called


@dataclass(slots=True)
class Collector:
    """``last`` is what the last collection found that came to its end; ``left_unix_s`` since when
    something may be left to collect, None if nothing is.  ``garbage_bytes`` is how much, None
    where nobody has looked since."""

    disk: Disk
    ledger: Ledger
    clock: Clock
    warnings: Warnings
    guards: Guards = field(init=False)
    overdue: Overdue = field(init=False)
    last: Collected | None = None
    left_unix_s: float | None = 0.0  # what an earlier run left is not known
    garbage_bytes: int | None = None
    lost: LostLedger = field(init=False)
    alarm: Alarm = field(default_factory=Alarm)
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)
    _hurried: int = 0

    def __post_init__(self) -> None:
        self.lost = LostLedger(self.disk, self.ledger, self.warnings)
        self.guards, blocking = Guards(self.disk), self.disk.blocking
        running = RunTime(RunningTime(self.ledger.table), blocking, self.warnings)
        self.overdue = Overdue(self.ledger, blocking, self.clock, running)

    def left(self) -> None:
        """Something may be garbage now: it is collected soon."""
        if self.left_unix_s is None:
            self.left_unix_s = self.clock.unix_s()
        self.garbage_bytes = None
        self.alarm.ring()

    def healed(self) -> None:
        """What could not be told may be known now."""
        if self.last is not None and self.last.doubts:
            self.warnings.over(_DOUBT)
            self.left()

    # --- collecting -------------------------------------------------------------------------

    async def collect(
        self,
        watch: Watch = unwatched,
        *,
        dry_run: bool = False,
        cache: bool = False,
        hurry: bool = True,
        asked: bool = False,
    ) -> Collected:
        """Remove what nothing keeps, with ``cache`` also what is cached; a ``dry_run`` only tells.
        Where the ledger was lost, only as its user ``asked``.
        One at a time; unless in a ``hurry`` it rests between steps, until somebody is.  What ends
        it leaves nothing wrong, and the next goes on.  Raises NoRoom, HomeUnusable."""
        if self.lost.held and not (asked or dry_run):
            return Collected()
        with self._hurrying(hurry):
            async with self._one, self.guards.collecting():
                return await self._collect(watch, dry_run=dry_run, cache=cache)

    async def _collect(self, watch: Watch, *, dry_run: bool, cache: bool) -> Collected:
        since_unix_s = self.left_unix_s
        if dry_run:
            return await self._would_collect(watch, cache=cache)
        self.left_unix_s = None  # what is left from now on is not ours
        try:
            return await self._do_collect(watch, cache=cache)
        except BaseException:
            self.left_unix_s = since_unix_s
            raise

    async def _would_collect(self, watch: Watch, *, cache: bool) -> Collected:
        entries = await self.disk.blocking.run(self.ledger.cache.oldest_first)
        gone, stay = (entries, ()) if cache else ((), entries)
        claims, look = await self.overdue.count(self._rest), self.overdue.look()
        marks = await self._marked(watch, stay, look.ends)
        found = await self._swept(marks, watch, dry_run=True)
        self.garbage_bytes = None if marks.doubts else found.garbage_bytes
        dead_bytes = await self._compacted(watch, dry_run=True)
        found = replace(found, cached=tuple(gone), stay=tuple(stay))
        return replace(found, claims=claims, dead_bytes=dead_bytes)

    async def _do_collect(self, watch: Watch, *, cache: bool) -> Collected:
        run, store = self.disk.blocking.run, self.disk.store
        before_bytes = store.used_bytes
        claims = await self.overdue.end(self._rest)
        entries = await run(self.ledger.cache.oldest_first)
        gone, stay = (entries, ()) if cache else ((), entries)
        marks = await self._marked(watch, stay)
        if not marks.doubts:
            await self.lost.release()
            await run(self.ledger.cache.drop, [each.root for each in gone])
            await run(self.ledger.cache.settle, stay, marks.alone_bytes)
        found = await self._swept(marks, watch, dry_run=False)
        dead_bytes = await self._compacted(watch, dry_run=False)
        found = replace(
            found,
            cached=() if marks.doubts else tuple(gone),
            stay=tuple(entries if marks.doubts else stay),
            claims=claims,
            freed_bytes=max(0, before_bytes - store.used_bytes),
            dead_bytes=dead_bytes,
        )
        self._note(found)
        return found

    def _note(self, found: Collected) -> None:
        """What ``status`` tells of it."""
        self.last = found
        if self.left_unix_s is None:
            self.garbage_bytes = None if found.doubts else 0
        if not found.doubts:
            self.warnings.over(_DOUBT)
            return
        roots = counted(len(found.doubts), "root")
        self.warnings.tell(
            _DOUBT,
            f"no room comes back: what is kept below {roots} cannot be told, since blocks are gone"
            " or damaged; `dhtstore gc --dry-run` names them, `dhtstore verify` what mends them",
        )

    async def make_room(self, size_bytes: int) -> bool:
        """Garbage goes, then what is cached, oldest use first, until ``size_bytes`` are free; never
        if all of it would not be enough.  Whether anything went."""
        run, went = self.disk.blocking.run, False
        while not self.lost.held:
            free_bytes = (await run(self.disk.store.space)).free_bytes
            if free_bytes is None or free_bytes >= size_bytes:
                return went
            entries = await run(self.ledger.cache.oldest_first)
            if self.left_unix_s is None and _bytes(entries) < size_bytes - free_bytes:
                return went  # what an earlier operation left shows when it is collected
            if self.left_unix_s is None:
                gone = _oldest(entries, size_bytes - free_bytes)
                await run(self.ledger.cache.drop, [each.root for each in gone])
                self.left()
            collected = await self.collect()
            if collected.doubts:
                return went
            went = went or collected.freed_bytes > 0
        return went

    @contextmanager
    def _hurrying(self, hurry: bool) -> Iterator[None]:
        self._hurried += hurry
        try:
            yield
        finally:
            self._hurried -= hurry

    async def _swept(self, marks: Marks, watch: Watch, *, dry_run: bool) -> Collected:
        """Nothing, while there are doubts."""
        store, blocks, size_bytes = self.disk.store, 0, 0
        after: bytes | None = None if marks.doubts else b""
        while after is not None:
            if marks.hold(self.guards.read):  # reads that began since stay whole, but for one step
                await self._mark(marks, watch)
            step = partial(store.sweep, marks.kept, after, dry_run=dry_run)
            after, some, some_bytes = await self.disk.blocking.run(step)
            blocks, size_bytes = blocks + some, size_bytes + some_bytes
            watch(Progress("sweeping", size_bytes))
            await self._rest()
        doubts, lost = tuple(marks.doubts), tuple(marks.lost)
        return Collected(len(marks.kept), blocks, size_bytes, doubts=doubts, lost=lost)

    async def _compacted(self, watch: Watch, *, dry_run: bool) -> int:
        """Dead bytes of packs: what stays of them, or all there are.  None can be told, and none
        moved, where the disk takes no writes."""
        run, store = self.disk.blocking.run, self.disk.store
        compaction = await run(store.compaction)
        try:
            while await run(compaction.look):
                await self._rest()
            dead_bytes = compaction.dead_bytes()[0]
            while not dry_run and await run(compaction.step):
                watch(Progress("compacting", compaction.copied_bytes))
                await self._rest()
        finally:
            await surely(self.disk.blocking, compaction.close)
        return max(0, dead_bytes - compaction.freed_bytes)

    async def _rest(self) -> None:
        """Between two steps: others come first, unless somebody waits for this."""
        await asyncio.sleep(0 if self._hurried else COLLECT_STEP_PAUSE_S)

    async def _marked(
        self, watch: Watch, cached: Sequence[CacheEntry], over: Over = never
    ) -> Marks:
        """All that stays; ``cached`` beside what is kept."""
        held = [*self.guards.read, *(each.root for each in reversed(cached))]
        marks = Marks(self.disk.store, self.ledger.table, held, over)
        await self._mark(marks, watch)
        return marks

    async def _mark(self, marks: Marks, watch: Watch) -> None:
        while await self.disk.blocking.run(marks.more):
            watch(Progress("marking", marks.met_bytes(), self.disk.store.used_bytes))
            await self._rest()


def _bytes(entries: Sequence[CacheEntry]) -> int:
    return sum(entry.size_bytes for entry in entries)


def _oldest(entries: Sequence[CacheEntry], wanted_bytes: int) -> list[CacheEntry]:
    """The first that make up as much."""
    gone: list[CacheEntry] = []
    for entry in entries:
        if wanted_bytes <= 0:
            break
        gone.append(entry)
        wanted_bytes -= entry.size_bytes
    return gone
