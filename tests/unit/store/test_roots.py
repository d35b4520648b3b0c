"""The units of kept roots: written with the first reason to keep them, gone with the last."""

from __future__ import annotations

from dhtstore.model.cid import Cid
from dhtstore.model.policy import Policy
from dhtstore.model.signing import attach
from dhtstore.model.unit import Unit
from dhtstore.store.ledger.memory import MemoryKeyValue
from dhtstore.store.ledger.pins import Pins
from dhtstore.store.ledger.puts import PutRecord, Puts
from dhtstore.store.ledger.roots import Roots

A, B, C = (Cid.of(data) for data in (b"a", b"b", b"c"))
UNITS = [
    Unit.head(A),
    Unit.of((B, C), 17),
    Unit.of((B, C), 0, spine=True),
    *(Unit.of((Cid.of(bytes((n,))),), n) for n in range(200)),  # more than a page of the ledger
]
POLICY = attach(Policy(b"o", A.raw, 1, 3, 0, False), b"s" * 64)
RECORD = PutRecord("a", A.raw, 10, 2.0, POLICY, len(UNITS))


class Kept:
    """The tables that give reasons, over one ledger."""

    def __init__(self) -> None:
        self.table = MemoryKeyValue()
        self.events: list[str] = []
        self.roots = Roots(self.table, lambda event, **fields: self.events.append(event))
        self.pins, self.puts = Pins(self.table, self.roots), Puts(self.table, self.roots)

    def rows(self) -> int:
        return self.table.count(b"unit/")


def test_units_come_back_whole_and_in_order() -> None:
    kept = Kept()
    kept.pins.add(A, "", "user", UNITS)
    kept.pins.add(B, "", "user", UNITS[1:2])
    assert kept.roots.units(A) == UNITS
    assert kept.roots.units(B) == UNITS[1:2]
    assert kept.roots.units(C) == []


def test_units_stay_until_the_last_reason_goes() -> None:
    kept = Kept()
    kept.puts.save(RECORD, UNITS)
    kept.pins.add(A, "", "put", UNITS)
    kept.pins.add(A, "", "user", UNITS)
    kept.pins.add(B, "", "user", UNITS[1:2])
    assert kept.rows() == len(UNITS) + 1
    assert kept.pins.remove(A, "user")
    assert not kept.pins.remove(A, "user")
    kept.puts.remove(A)
    assert kept.roots.units(A) == UNITS
    assert kept.pins.remove(A, "put")
    assert kept.roots.units(A) == []
    assert kept.rows() == 1


def test_a_put_alone_keeps_its_units() -> None:
    kept = Kept()
    kept.puts.save(RECORD, UNITS)
    assert not kept.pins.remove(A, "put")
    assert kept.roots.units(A) == UNITS
    kept.puts.remove(A)
    assert kept.rows() == 0


def test_units_that_an_earlier_version_did_not_write_can_be_remembered() -> None:
    kept = Kept()
    kept.pins.add(A, "", "user", [])
    kept.roots.remember(A, UNITS)
    assert kept.roots.units(A) == UNITS


def test_units_of_what_nobody_keeps_are_not_remembered() -> None:
    kept = Kept()
    kept.roots.remember(A, UNITS)
    kept.pins.add(A, "", "user", [])
    kept.pins.remove(A, "user")
    kept.roots.remember(A, UNITS)
    assert kept.rows() == 0


def test_damaged_units_are_told_and_can_be_remembered_again() -> None:
    kept = Kept()
    kept.pins.add(A, "", "user", UNITS)
    key = kept.table.scan(b"unit/")[1][0]
    kept.table.write([(key, b"\xc1")])
    assert kept.roots.units(A) == []
    assert kept.events == ["ledger.damaged"]
    kept.roots.remember(A, UNITS)
    assert kept.roots.units(A) == UNITS
