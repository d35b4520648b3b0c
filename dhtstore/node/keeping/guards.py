"""What stays whatever a collection finds: what operations under way bring, and what is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial

from dhtstore.model.cid import Cid
from dhtstore.node.context import Disk, surely
from dhtstore.store.blocks.contract import Protection


@dataclass(slots=True)
class Guards:
    """``collecting`` is around a collection: whatever is guarded meanwhile stays guarded until it
    ends, since its marks may be older than the pin or claim that was written."""

    disk: Disk
    _reading: Counter[Cid] = field(default_factory=Counter)
    _late: list[Protection] = field(default_factory=list)
    _collections: int = 0

    @asynccontextmanager
    async def guarded(self) -> AsyncIterator[None]:
        """Around whatever brings blocks in: they are not collected before what keeps them is
        written down."""
        guards: list[Protection] = []
        run = self.disk.blocking.run
        try:
            await run(lambda: guards.append(self.disk.store.protect()))
            yield
        finally:
            if self._collections:
                self._late += guards
            else:
                await surely(self.disk.blocking, partial(_close, guards))

    @contextmanager
    def reading(self, root: Cid) -> Iterator[None]:
        """What is here of ``root`` stays while it is read, if a collection begins."""
        self._reading[root] += 1
        try:
            yield
        finally:
            self._reading -= Counter([root])

    @property
    def read(self) -> Sequence[Cid]:
        """The roots that are."""
        return list(self._reading)

    @asynccontextmanager
    async def collecting(self) -> AsyncIterator[None]:
        """One at a time."""
        self._collections += 1
        try:
            yield
        finally:
            self._collections -= 1
            late, self._late = self._late, []
            await surely(self.disk.blocking, partial(_close, late))


def _close(guards: Sequence[Protection]) -> None:
    for guard in guards:
        guard.close()
