"""What was removed does not come back with an index that had to be built anew."""

from __future__ import annotations

from pathlib import Path

from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit
from dhtstore.node.context import Disk
from dhtstore.node.duties.collecting import Collecting
from dhtstore.node.keeping.collector import Collector
from dhtstore.node.keeping.giving_up import GivingUp
from dhtstore.node.warnings import Warnings
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.trace import no_trace
from simulations.world.ports.blocking import InlineBlocking
from simulations.world.ports.clock import SimClock
from tests.unit.node.copies_world import new_ledger
from tests.unit.node.data_plane import World, play

KEPT, REMOVED = b"kept", b"removed"


def _not_asked() -> None:
    raise AssertionError("nothing is lost")


async def _in_vain(unit: Unit) -> bool:
    raise AssertionError("nothing is lost")


def test_what_was_removed_goes_before_anybody_is_served(tmp_path: Path) -> None:
    async def scene(world: World) -> None:
        store = DiskBlockStore(tmp_path, None)
        with store.batch() as batch:
            for data in (KEPT, REMOVED):
                batch.put(Cid.of(data), data)
            batch.commit()
        store.delete([Cid.of(REMOVED)])
        store.close()
        for path in tmp_path.glob("index.sqlite*"):
            path.unlink()
        store = DiskBlockStore(tmp_path, None)
        assert store.rebuilt
        assert store.has(Cid.of(REMOVED))
        ledger, kept = new_ledger(), Cid.of(KEPT)
        ledger.pins.add(kept, "", "user", [Unit.of((kept,), len(KEPT))])
        disk, clock, warnings = Disk(store, InlineBlocking()), SimClock(world.loop), Warnings()
        collector = Collector(disk, ledger, clock, warnings)
        running = collector.overdue.running
        giving_up = GivingUp(disk, ledger, running, warnings, no_trace, _not_asked, _in_vain)
        await Collecting(collector, giving_up).begin()
        assert list(store.cids()) == [kept]
        store.close()
        again = DiskBlockStore(tmp_path, None)
        assert not again.rebuilt
        again.close()

    play(scene)
