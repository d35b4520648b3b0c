"""Write down the records that this node keeps for others, and take them up again after a start: an
index node that restarts is then as good as before."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from dhtstore.dht.core.stores.held import standing_of
from dhtstore.dht.engine.holding.shelf import Shelf, ShelvedRecord
from dhtstore.net.ports import Blocking
from dhtstore.node.warnings import Warnings
from dhtstore.params import RECORDS_SAVE_PAUSE_S, RECORDS_SAVE_ROWS
from dhtstore.store.ledger.shelf.records import KeptRecords, RecordRow
from dhtstore.tasks import Alarm

_WHAT: Final = "records"
_READING: Final = "records-read"  # no write ends it: nothing reads again
_DOES: Final = "records of others cannot be written down"
_FOREVER_S: Final = 1e9


@dataclass(slots=True)
class KeepRecords:
    """A disk that fails costs only what this is for: a warning tells, and the next change is soon
    enough to try again.  What came since the last write is lost if the node is killed; its
    publishers announce it again."""

    shelf: Shelf
    rows: KeptRecords
    blocking: Blocking
    warnings: Warnings
    alarm: Alarm = field(default_factory=Alarm)

    def __post_init__(self) -> None:
        self.warnings.can_be_tried(_WHAT, self.save)

    async def run(self) -> None:
        """Forever: nothing is done while nothing changes."""
        self.shelf.begin(self.alarm.ring)
        with self.warnings.tolerated(_READING, "records kept for others cannot be read"):
            await self._take_up()
        while True:
            await self.alarm.rest(_FOREVER_S)
            await asyncio.sleep(RECORDS_SAVE_PAUSE_S)
            await self.save()

    async def save(self) -> None:
        """Write down what changed, some at a time."""
        with self.warnings.tolerated(_WHAT, _DOES):
            while changes := self.shelf.changes(RECORDS_SAVE_ROWS):
                try:
                    await self.blocking.run(self.rows.write, _rows(changes))
                except BaseException:
                    self.shelf.not_written(changes)
                    raise

    async def _take_up(self) -> None:
        """A page at a time; what is not taken, for whatever reason, is not there any more."""
        after: bytes | None = None
        while page := await self.blocking.run(self._read, after):
            after = max(page)
            refused = [name for name, one in page.items() if not (one and self.shelf.put_back(one))]
            if refused:
                await self.blocking.run(self.rows.write, dict.fromkeys(refused))

    def _read(self, after: bytes | None) -> Mapping[bytes, ShelvedRecord | None]:
        """Each byte is as a stranger's: the record is unpacked and its signature checked."""
        return {name: self._shelved(name, row) for name, row in self.rows.page(after).items()}

    def _shelved(self, name: bytes, row: RecordRow | None) -> ShelvedRecord | None:
        record = None if row is None else self.shelf.unpacked(name, row.packed)
        if row is None or record is None:
            return None
        standing = standing_of(row.origin, reached=row.reached)
        proved = float(row.proved) or None
        return ShelvedRecord(record, float(row.expires), standing, proved, row.ponged)


def _rows(changes: Mapping[bytes, ShelvedRecord | None]) -> dict[bytes, RecordRow | None]:
    return {name: _row(one) if one else None for name, one in changes.items()}


def _row(one: ShelvedRecord) -> RecordRow:
    expires, proved = max(0, int(one.expires_unix_s)), max(0, int(one.proved_unix_s or 0))
    origin, reached = one.standing.origin, one.standing.reached
    return RecordRow(one.record.packed, expires, origin, reached, proved, one.ponged)
