"""A ledger that the first version wrote, read by this one."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import astuple

from dhtstore.model.cid import Cid
from dhtstore.model.network import Network
from dhtstore.model.policy import Policy
from dhtstore.model.receipt import Receipt
from dhtstore.model.signing import check, sign
from dhtstore.model.unit import Unit
from dhtstore.net.crypto import Ed25519Crypto
from dhtstore.store.ledger.claims import Claims
from dhtstore.store.ledger.entries import part
from dhtstore.store.ledger.health.fellows import FellowRow, Fellows
from dhtstore.store.ledger.health.holders import HolderRow, HolderRows
from dhtstore.store.ledger.memory import MemoryKeyValue
from dhtstore.store.ledger.puts import Puts, Receipts
from dhtstore.store.ledger.roots import Roots
from dhtstore.store.ledger.upgrade import upgrade

NETWORK = Network("main")
CRYPTO = Ed25519Crypto(b"n" * 32, b"o" * 32)
ROOT = Cid.of(b"root")
UNIT = Unit.of((ROOT,), 4)
POLICY = sign(Policy(CRYPTO.owner.public_key, ROOT.raw, 7, 3, 0, False), NETWORK, CRYPTO.owner)
NODE = CRYPTO.node.public_key
RECEIPT = sign(
    Receipt(1, "main", b"n" * 20, NODE, UNIT.name, ROOT.raw, 4, 1, POLICY.owner, 7, 9, 0),
    NETWORK,
    CRYPTO.node,
)


def first_form(signed: Policy | Receipt) -> list[object]:
    """As layout 1 had it: the fields, then the signature."""
    return [*astuple(signed), signed.signature]


def first_ledger() -> MemoryKeyValue:
    policy, encode = first_form(POLICY), msgspec.msgpack.encode
    owner = part(POLICY.owner)
    table = MemoryKeyValue()
    table.write(
        [
            (b"policy/" + owner + ROOT.raw, encode(policy)),
            (
                b"claim/" + part(UNIT.name) + owner + ROOT.raw,
                encode([UNIT.name, [ROOT.raw], False, 4, 1, policy]),
            ),
            (b"put/" + ROOT.raw, encode(["name", ROOT.raw, 4, 5.0, policy, 1])),
            (
                b"receipt/" + part(ROOT.raw) + part(UNIT.name) + RECEIPT.node,
                encode(first_form(RECEIPT)),
            ),
        ]
    )
    return table


@pytest.mark.parametrize("times", [1, 2])
def test_everything_is_there_and_its_signatures_hold(times: int) -> None:
    table = first_ledger()
    for _ in range(times):
        upgrade(table, lambda event, **fields: pytest.fail(event))
    roots = Roots(table)
    claims, puts, receipts = Claims(table), Puts(table, roots), Receipts(table, roots)
    (claim,) = claims.for_unit(UNIT.name)
    put = puts.get(ROOT)
    assert put is not None
    assert (put.name, put.policy, claim.policy) == ("name", POLICY, POLICY)
    assert receipts.for_root(ROOT) == [RECEIPT]
    for signed in (claim.policy, put.policy, *receipts.for_root(ROOT)):
        check(signed, NETWORK, CRYPTO)


def test_puts_of_an_earlier_layout_are_listed() -> None:
    table = first_ledger()
    upgrade(table, lambda event, **fields: pytest.fail(event))
    [[put]] = list(Puts(table, Roots(table)).listed(10))
    assert (put.name, put.cid, put.size, put.copies, put.replicas) == ("name", str(ROOT), 4, 1, 3)


def test_rows_of_lists_that_do_not_say_who_holds_copies_say_so_then() -> None:
    """Of layout 3: a put whose holders are silent was told as safe."""
    table = first_ledger()
    upgrade(table, lambda event, **fields: pytest.fail(event))
    [(key, raw)] = table.scan(b"listed/")
    row = msgspec.msgpack.decode(raw)
    assert row.pop("sets") == [RECEIPT.node]
    encode = msgspec.msgpack.encode
    table.write([(key, encode(row)), (b"layout", encode(3))])
    upgrade(table, lambda event, **fields: pytest.fail(event))
    [[put]] = list(Puts(table, Roots(table)).listed(10))
    assert put.sets == (RECEIPT.node,)


def test_what_was_known_of_other_holders_is_read_with_what_came_since_as_unknown() -> None:
    """As the first version that audited wrote it."""
    table, encode, key = MemoryKeyValue(), msgspec.msgpack.encode, NODE
    holder = [key, 5.0, 6.0, "gone", True]
    table.write(
        [
            (b"holders/\0" + UNIT.name, encode([1.0, 2.0, 3.0, None, 4.0, [holder]])),
            (b"fellow/" + key, encode([1.0, 2.0, 3.0, 0.0, [60.0], "10.0.0.1", 4000])),
        ]
    )
    row = HolderRows(table, lambda event, **fields: pytest.fail(event)).get((UNIT.name, False))
    assert row[:5] == (1.0, 2.0, 3.0, None, 4.0)
    assert row.holders == (HolderRow(key, 5.0, 6.0, "gone", lost=True),)
    [(fellow, past)] = Fellows(table, lambda event, **fields: pytest.fail(event)).all()
    assert fellow == key
    assert past == FellowRow(1.0, 2.0, 3.0, 0.0, (60.0,), "10.0.0.1", 4000)


@pytest.mark.parametrize("number", [b"\xc1", msgspec.msgpack.encode(2)])
def test_an_upgrade_that_was_interrupted_goes_on(number: bytes) -> None:
    """Layout 2 was reached, and some puts were listed; or the number of the layout is damaged."""
    table = first_ledger()
    upgrade(table, lambda event, **fields: pytest.fail(event))
    whole = table.scan(b"")
    table.write([(b"layout", number)], [key for key, _ in table.scan(b"listed/")])
    upgrade(table, lambda event, **fields: pytest.fail(event))
    assert table.scan(b"") == whole


def test_a_damaged_row_costs_only_itself() -> None:
    table, told = first_ledger(), []
    broken = [b"put/" + ROOT.raw, b"policy/broken", b"claim/broken"]
    table.write([(broken[0], b"\xc1"), (broken[1], b"\x91\x01"), (broken[2], b"\x90")])
    upgrade(table, lambda event, **fields: told.append((event, fields["key"])))
    assert set(told) == {("ledger.damaged", key.hex()) for key in broken}
    assert len(Receipts(table, Roots(table)).for_root(ROOT)) == 1


def test_a_new_ledger_is_of_the_layout_from_the_first() -> None:
    table = MemoryKeyValue()
    upgrade(table, lambda event, **fields: pytest.fail(event))
    receipts = Receipts(table, Roots(table))
    receipts.save([RECEIPT])
    upgrade(table, lambda event, **fields: pytest.fail(event))
    assert receipts.for_root(ROOT) == [RECEIPT]
