"""A disk that fills up between a claim and its blocks: whoever asked is not charged for what is
not here, whenever the ledger can be written again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import pytest

from dhtstore.errors import NoRoom
from dhtstore.model.cid import Cid
from dhtstore.model.policy import Claim, Policy, Usage
from dhtstore.model.signing import attach
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.copies.acknowledge import Coming, acknowledge
from dhtstore.node.identity import Identity
from dhtstore.node.ports import NodeSettings
from dhtstore.params import GIB
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.store.ledger.claims import Claims
from dhtstore.store.ledger.contract import scan_all
from dhtstore.store.ledger.memory import MemoryKeyValue
from dhtstore.trace import no_trace
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.ports.blocking import InlineBlocking
from simulations.world.ports.clock import SimClock
from simulations.world.ports.crypto import SimCrypto

ORIGIN: Final = "192.0.2.0/24"
OWNER: Final = b"o" * 32


class FillingTable(MemoryKeyValue):
    """Takes nothing while it is ``full``."""

    full = False

    def write(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes] = ()) -> None:
        if self.full:
            raise NoRoom("the disk is full")
        super().write(puts, deletes)


def claim(number: int) -> Claim:
    root = Cid.of(b"%d" % number).raw
    policy = attach(Policy(OWNER, root, 1, 3, 0, removed=False), b"s" * 64)
    return Claim(root, (root,), False, GIB, 1, policy, GIB, ORIGIN)


@dataclass(slots=True)
class Filling:
    """A holder whose disk is full from the moment on at which blocks are committed."""

    table: FillingTable = field(default_factory=FillingTable)
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = Ledger.of(self.table, no_trace)

    @property
    def usage(self) -> Usage:
        return self.ledger.claims.usage(OWNER, ORIGIN, 0.0)

    def commit(self) -> None:
        self.table.full = True
        raise NoRoom("the disk is full")

    def keep(self, one: Claim) -> None:
        loop = VirtualLoop()
        identity = Identity(SimCrypto(b"n", b"n"), SimClock(loop), NodeSettings(), lambda: ())
        disk = Disk(MemoryBlockStore(), InlineBlocking())
        coming = Coming(self.commit, 0.0)
        with pytest.raises(NoRoom):
            run(acknowledge(identity, disk, self.ledger, one, coming), loop)

    def rows(self) -> list[bytes]:
        return [key for key, _ in scan_all(self.table, b"")]


def test_nobody_is_charged_while_the_disk_is_full_nor_after() -> None:
    holder = Filling()
    before = holder.usage
    holder.keep(claim(1))
    assert holder.usage == before
    assert holder.ledger.claims.pending() == []
    assert holder.ledger.claims.ledger_bytes() == 0
    holder.table.full = False
    assert holder.usage == before


@pytest.mark.parametrize("again", [1, 2])
def test_what_is_begun_next_drops_it(again: int) -> None:
    holder = Filling()
    holder.keep(claim(1))
    holder.table.full = False
    claims = holder.ledger.claims
    claims.begin(claim(again), 0.0)
    assert claims.pending() == [claim(again)]
    claims.put(claim(again))
    assert Claims(holder.table).pending() == claims.pending() == []
    assert Claims(holder.table).usage(OWNER, ORIGIN, 0.0) == holder.usage
    assert holder.usage.owner_bytes == GIB + claim(again).ledger_bytes


def test_nor_is_anything_left_of_it_where_nothing_is_begun() -> None:
    holder = Filling()
    holder.keep(claim(1))
    holder.ledger.claims.settle()
    assert holder.rows()
    holder.table.full = False
    holder.ledger.claims.settle()
    assert [key for key in holder.rows() if key != b"charged"] == []


def test_a_claim_that_was_there_before_stays() -> None:
    holder = Filling()
    claims = holder.ledger.claims
    claims.begin(claim(1), 0.0)
    claims.put(claim(1))
    before = holder.usage
    holder.keep(claim(1))
    assert holder.usage == before
    assert [each.unit for each in claims.units_kept(0.0)] == [claim(1).unit]


def test_pages_of_what_was_dropped_hide_nothing_behind_them() -> None:
    holder = Filling()
    claims, many = holder.ledger.claims, sorted(map(claim, range(150)), key=lambda one: one.unit)
    for one in many:
        claims.begin(one, 0.0)
    holder.table.full = True
    for one in many[:-1]:
        claims.drop_pending(one)
    assert claims.pending() == many[-1:]
    assert holder.usage.owner_bytes == GIB + many[-1].ledger_bytes
