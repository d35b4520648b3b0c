"""All that is to be announced, and how far that is, across restarts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Final

from dhtstore.node.copies.kept import Named
from dhtstore.node.duties.announcing.line import KeyLine
from dhtstore.node.duties.announcing.progress import CycleProgress
from dhtstore.node.duties.announcing.teller import Teller
from dhtstore.node.warnings import Warnings
from dhtstore.params import REPROVIDE_STRANGERS_FIRST
from dhtstore.store.ledger.health.announced import AnnouncedRow

_WHAT: Final = "announced"  # as warnings call it
_NAMES_AT_ONCE: Final = 256  # read from the ledger
_SAVE_S: Final = 10.0  # between two writes of how far it is


class KeyLines:
    """Two lines: our own and the first of strangers, then all others.  ``whole_cycle``: all of them
    were announced since everything was due last."""

    def __init__(self, teller: Teller, begin_s: float, warnings: Warnings) -> None:
        self.all = KeyLine(CycleProgress(begin_s)), KeyLine(CycleProgress(begin_s))
        self.whole_cycle = self._restored = False
        self._teller, self._warnings = teller, warnings
        self._clock, self._identity = teller.clock, teller.identity
        self._ledger = teller.completeness.ledger
        self._blocking = teller.completeness.disk.blocking
        self._saved_s = self._looked_s = -math.inf
        warnings.can_be_tried(_WHAT, self.save)

    async def look(self) -> None:
        """Which units there are to announce.  What is new was announced when it came to be kept:
        since the look before, and that may be days ago, where the machine slept or the disk failed
        meanwhile."""
        run, now = self._blocking.run, self._clock.monotonic_s()
        await run(self._ledger.claims.settle)
        names: tuple[list[bytes], list[bytes]] = ([], [])
        self._teller.pinned, strangers = {}, 0
        kept = self._teller.completeness.names_in_turn(self._identity.now_unix_s())
        while some := await run(_some, kept):
            for each in some:
                strangers += not each.first
                names[strangers > REPROVIDE_STRANGERS_FIRST].append(each.name)
                if each.pinned is not None:
                    self._teller.pinned[each.name] = each.pinned
        for line, of_line in zip(self.all, names, strict=True):
            await run(line.set, of_line)
            if self.whole_cycle:
                line.progress.new(line.counts, self._looked_s)
        self._looked_s = now

    def drop(self) -> None:
        """Until the next look."""
        for line in self.all:
            line.drop()

    def forget(self) -> None:
        """All are due."""
        self.whole_cycle = self._restored = False
        for line in self.all:
            line.progress.forget()

    def next_due_s(self) -> float:
        """When the next part is due; infinite where nothing is kept."""
        due_s = [line.next_due_s() for line in self.all]
        return min([each for each in due_s if each is not None], default=math.inf)

    def tell_incomplete(self) -> None:
        """How many units lacked blocks; after a restart others may be, which were not looked at."""
        completeness, lacking = self._teller.completeness, sum(self._teller.lacking.values())
        if lacking > completeness.incomplete or (
            lacking < completeness.incomplete and not self._restored
        ):
            completeness.looked(lacking)

    async def restore(self) -> None:
        """What was written down, in an earlier life; raises HomeUnusable."""
        row = await self._blocking.run(self._ledger.announced.load)
        if row.told_as == self._told_as():
            self._restored = bool(row.lines)
            now, ahead_s = self._clock.monotonic_s(), self._ahead_s()
            for line, packed in zip(self.all, row.lines, strict=False):
                line.progress.restore(packed, ahead_s, now)

    async def save(self, *, now_and_then: bool = False) -> None:
        """Write it down; what the disk does to that is told as a warning."""
        now = self._clock.monotonic_s()
        if not any(line.counts for line in self.all):
            self._warnings.over(_WHAT)  # there is nothing to write
            return
        if now_and_then and now - self._saved_s < _SAVE_S:
            return
        self._saved_s = now
        lines = tuple(line.progress.packed(self._ahead_s()) for line in self.all)
        save = partial(self._ledger.announced.save, AnnouncedRow(lines, self._told_as()))
        with self._warnings.tolerated(_WHAT, "how far announcing is cannot be written down"):
            await self._blocking.run(save)

    def _ahead_s(self) -> float:
        """By how much the wall clock is ahead of the monotonic one."""
        return self._clock.unix_s() - self._clock.monotonic_s()

    def _told_as(self) -> str:
        """Whom others know for a holder, and where: with another key on the same disk, nobody has
        heard of what is here."""
        identity = self._identity
        return " ".join([identity.node.hex(), *map(str, identity.addresses())])


def _some(kept: Iterator[Named]) -> list[Named]:
    return list(islice(kept, _NAMES_AT_ONCE))
