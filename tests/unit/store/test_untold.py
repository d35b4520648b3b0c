"""Who is yet to be told of what: bounded, and no row is believed that is damaged."""

from __future__ import annotations

from dhtstore.model.cid import Cid
from dhtstore.model.identity import PublicKey
from dhtstore.store.ledger.memory import MemoryKeyValue
from dhtstore.store.ledger.tiers.untold import Untold

ONE, OTHER = PublicKey(b"\1" * 32), PublicKey(b"\2" * 32)
ROOTS = [Cid.of(bytes([n])) for n in range(3)]


def test_each_holder_has_its_roots_until_it_knows_them() -> None:
    rows = Untold(MemoryKeyValue())
    for at, root in enumerate(ROOTS):
        rows.add(root, [ONE, OTHER], float(at))
    rows.drop(ROOTS[0], [ONE])
    assert [*rows.holders()] == [ONE, OTHER]
    assert sorted(rows.of(ONE), key=lambda each: each[1]) == [(ROOTS[1], 1.0), (ROOTS[2], 2.0)]
    for root in ROOTS:
        rows.drop(root, [ONE])
    assert [*rows.holders()] == [OTHER]


def test_there_are_no_more_rows_than_fit() -> None:
    rows = Untold(MemoryKeyValue())
    many = [PublicKey(n.to_bytes(32, "big")) for n in range(4096)]
    rows.add(ROOTS[0], many[1:], 0.0)
    rows.add(ROOTS[1], [ONE, OTHER], 0.0)
    assert len(rows.holders()) == 4095
    rows.add(ROOTS[1], [ONE], 0.0)
    assert len(rows.holders()) == 4096


def test_a_damaged_row_is_one_that_waits_for_long_already() -> None:
    table = MemoryKeyValue()
    rows = Untold(table)
    rows.add(ROOTS[0], [ONE], 5.0)
    [(key, _)] = table.scan(b"untold/")
    table.write([(key, b"\xc1"), (b"untold/" + ONE + b"?", b"")])
    assert rows.of(ONE) == [(ROOTS[0], 0.0)]
