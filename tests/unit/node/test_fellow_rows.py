"""What is read of a ledger that an earlier version wrote, or that rots."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dhtstore.dht.service import PeerInfo
from dhtstore.model.contact import Address, Contact
from dhtstore.model.identity import NodeId, PublicKey
from dhtstore.node.duties.repairing.fellows import Fellow, KnownFellows
from dhtstore.node.duties.repairing.noting.notes import Notes
from dhtstore.node.warnings import Warnings
from dhtstore.params import DAY_S
from dhtstore.replication.health.periods import USUAL_PERIODS
from dhtstore.store.ledger.contract import KeyValue
from dhtstore.store.ledger.entries import encode
from dhtstore.store.ledger.health.fellows import FellowRow, Fellows
from dhtstore.store.ledger.memory import MemoryKeyValue
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.ports.blocking import InlineBlocking
from simulations.world.ports.clock import EPOCH_UNIX_S, SimClock

KEY = PublicKey(b"k" * 32)


class Nobody:
    """A DHT in which nobody is."""

    async def ping(self, contact: Contact, timeout_s: float) -> float:
        raise AssertionError("nobody is asked")

    def peers(self) -> Sequence[PeerInfo]:
        return []

    def address_of(self, node: NodeId) -> Address | None:
        return None


def loaded(table: KeyValue) -> Fellow:
    """``KEY``, as it is known after a start."""
    loop = VirtualLoop()

    async def start() -> Fellow:
        notes = Notes(InlineBlocking(), Warnings())
        parts = SimClock(loop), InlineBlocking(), Fellows(table), notes, USUAL_PERIODS
        fellows = KnownFellows(Nobody(), lambda key: None, *parts)
        await fellows.load()
        fellows.answered(KEY)
        known = fellows.of(KEY)
        await fellows.save([KEY])
        return known

    return run(start(), loop)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5])
def test_absences_that_were_written_down_in_full_count_for_as_much_of_the_time(
    share: float,
) -> None:
    """As earlier versions did, which forgot nothing by halves."""
    for days in (10.0, 30.0, 60.0, 400.0):
        known, asked = EPOCH_UNIX_S - days * DAY_S, EPOCH_UNIX_S - 60.0
        table = MemoryKeyValue()
        earlier = (known, asked, asked, 0.0, (), "", 0, share * days * DAY_S, 0.0)
        table.write([(b"fellow/" + KEY, encode(earlier))])
        for _ in range(2):  # it is written anew in between
            assert loaded(table).past.there_share == pytest.approx(1 - share, abs=1e-3)


@pytest.mark.parametrize(("host", "port"), [("10.0.0.u", 5), ("10.0.0.1", 70_000), ("::", 5)])
def test_a_place_that_is_none_leads_nowhere(host: str, port: int) -> None:
    """Plans of copies ask in which network it is."""
    table = MemoryKeyValue()
    Fellows(table).save({KEY: FellowRow(1.0, 2.0, 3.0, 0.0, (), host, port)})
    assert loaded(table).place is None
