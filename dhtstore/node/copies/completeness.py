"""Whether what this node keeps is really here: what the ledger says is compared with the store.

Cheap: of each unit only the blocks above its leaves are read, and leaves must be in the index.
``verify`` reads all blocks, and which it finds damaged is remembered and looked at again here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from dhtstore.content.dag.local import Leaves, lacking_blocks, walk_local
from dhtstore.errors import BlockDamaged, BlockMissing, DhtstoreError, TimedOut
from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit, unit_text
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.copies.kept import (
    Named,
    kept_units,
    names_in_turn,
    pinned_roots,
    units_named,
    units_under,
)
from dhtstore.store.blocks.contract import BlockStore
from dhtstore.store.ledger.health.damage import Damage
from dhtstore.store.ledger.listing.tally import Proof
from dhtstore.trace import Tracer

_CLAIMS_READ_MAX: Final = 64  # of a unit


def _never() -> bool:
    return False


@dataclass(slots=True)
class Looked:
    """How many ``blocks`` were looked at, there or not; it is ended once ``too_long`` says so, and
    then ``ended``."""

    too_long: Callable[[], bool] = _never
    blocks: int = 0
    ended: bool = False

    def at(self, blocks: int) -> None:
        """Raises TimedOut."""
        self.blocks += blocks
        if self.too_long():
            self.ended = True
            raise TimedOut("it took too long to look")


@dataclass(slots=True)
class Completeness:
    """``node`` is the id of this one; ``incomplete`` is how many of the units kept lacked blocks
    when last looked at."""

    disk: Disk
    ledger: Ledger
    tracer: Tracer
    node: bytes = b""
    incomplete: int = 0

    async def lack(self, unit: Unit) -> str:
        """Why the unit is not here whole; "" if it is."""
        return await self.disk.blocking.run(self.lack_now, unit)

    def lack_now(self, unit: Unit) -> str:
        """As ``lack``; for worker threads."""
        return self.look(unit, Looked())

    def look(self, unit: Unit, looked: Looked) -> str:
        """As ``lack``, and counts in ``looked``, which may end it; for worker threads."""
        blocks = Believed(self.disk.store, self.ledger.damage, looked)
        try:
            walk_local(blocks, unit, Leaves.PRESENT)
        except TimedOut as error:
            return str(error)
        except DhtstoreError as error:
            self.tracer("unit.incomplete", unit=unit_text(unit.name), error=str(error))
            return str(error)
        return ""

    def lacking(self, unit: Unit, at_most: int) -> list[Cid]:
        """The first blocks of a unit that are not here whole; for worker threads.  Raises
        MalformedDag, HomeUnusable."""
        blocks = Believed(self.disk.store, self.ledger.damage, Looked())
        return list(islice(lacking_blocks(blocks, unit), at_most))

    def write_down(self, unit: Unit, why: str, now_unix_s: int) -> None:
        """Of what was put from here, what came of looking at the copy here (``lack_now``), where
        that is news; so that lists count it or not.  For worker threads; raises NoRoom,
        HomeUnusable."""
        receipts, puts = self.ledger.receipts, self.ledger.puts
        for claim in islice(self.ledger.claims.for_unit(unit.name), _CLAIMS_READ_MAX):
            root, state = Cid(claim.policy.root), "lacks" if why else "live"
            known = receipts.proof(root, unit.name, self.node)
            said = "live" if known is None else known.state
            if claim.spine == unit.spine and said != state and puts.get(root) is not None:
                signed = [each.time for each in receipts.for_root(root) if each.node == self.node]
                proof = Proof(max(now_unix_s, *signed, 0), state, why)
                receipts.prove(root, {(unit.name, self.node): proof})

    def kept(self, now_unix_s: float) -> Iterator[Unit]:
        """All units kept, a page of the ledger at a time; for worker threads."""
        return kept_units(self.disk.store, self.ledger, now_unix_s, self.tracer)

    def names_in_turn(self, now_unix_s: float) -> Iterator[Named]:
        """The names of all that may be kept, in turn; for worker threads."""
        return names_in_turn(self.disk.store, self.ledger, now_unix_s, self.tracer)

    def named(self, named: Named, now_unix_s: float) -> list[Unit]:
        """What is kept under one of them; for worker threads."""
        return units_named(self.disk.store, self.ledger, named, now_unix_s, self.tracer)

    def under(self, name: bytes, now_unix_s: float) -> list[Unit]:
        """What is kept under one name; for worker threads."""
        return units_under(self.disk.store, self.ledger, name, now_unix_s, self.tracer)

    def pinned(self) -> list[Cid]:
        """The roots that are pinned; for worker threads."""
        return pinned_roots(self.ledger, self.tracer)

    def looked(self, incomplete: int) -> None:
        """All units were looked at, and so many lack blocks."""
        self.incomplete = incomplete
        if incomplete:
            self.tracer("store.failed", incomplete_units=incomplete, see="dhtstore verify")


class Believed:
    """The store's index is believed, but for blocks that were found damaged before."""

    def __init__(self, store: BlockStore, damaged: Damage, looked: Looked) -> None:
        self._store, self._damaged, self._looked = store, damaged, looked

    def get(self, cid: Cid) -> bytes:
        self._looked.at(1)
        return self._store.get(cid)

    def sizes(self, cids: Sequence[Cid]) -> list[int | None]:
        self._looked.at(len(cids))
        sizes = self._store.sizes(cids)
        for at, cid in enumerate(cids):
            if cid.multihash in self._damaged:
                sizes[at] = self._read_size(cid)
        return sizes

    def _read_size(self, cid: Cid) -> int | None:
        try:
            return len(self._store.get(cid))
        except (BlockDamaged, BlockMissing):
            return None
