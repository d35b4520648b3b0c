"""What copies come to: receipts of the newest put, and what came of asking their holders."""

from __future__ import annotations

from dhtstore.store.ledger.listing.tally import Proof, Tally
from dhtstore.store.ledger.memory import MemoryKeyValue
from dhtstore.store.ledger.puts import PutRecord, Puts, Receipts
from dhtstore.store.ledger.roots import Roots
from tests.unit.store.test_tables import A, B, policy, receipt, tally_of

ONE, TWO, THREE, FOUR = (bytes([number]) * 20 for number in range(1, 5))


def tables(replicas: int = 3) -> tuple[MemoryKeyValue, Puts, Receipts]:
    table = MemoryKeyValue()
    roots = Roots(table)
    puts, receipts = Puts(table, roots), Receipts(table, roots)
    puts.save(PutRecord("name", A.raw, 9, 1.0, policy(replicas=replicas), 1), [])
    return table, puts, receipts


def tally(puts: Puts) -> Tally:
    [[put]] = list(puts.listed(10))
    return tally_of(put)


def test_a_holder_that_was_silent_or_lacks_blocks_counts_no_more_until_it_is_found_live() -> None:
    _, puts, receipts = tables()
    receipts.save([receipt(b"u", node, 100) for node in (ONE, TWO, THREE)])
    assert tally(puts) == Tally(3, 100)
    receipts.prove(A, {(b"u", ONE): Proof(200, "silent"), (b"u", TWO): Proof(200, "live")})
    assert tally(puts) == Tally(2, 100)
    receipts.prove(A, {(b"u", THREE): Proof(300, "lacks", "a block")})
    assert tally(puts) == Tally(1, 200)
    receipts.prove(A, {(b"u", ONE): Proof(400, "live")})
    assert tally(puts) == Tally(2, 200)


def test_a_receipt_after_a_check_counts_again() -> None:
    _, puts, receipts = tables()
    receipts.save([receipt(b"u", ONE, 100)])
    receipts.prove(A, {(b"u", ONE): Proof(200, "silent")})
    assert tally(puts) == Tally(0, 0)
    receipts.save([receipt(b"u", ONE, 300, policy_seq=2)])
    assert tally(puts) == Tally(1, 300)


def test_who_did_not_sign_for_the_newest_put_counts_once_it_was_found_live_since() -> None:
    _, puts, receipts = tables()
    receipts.save([receipt(b"u", node, 100) for node in (ONE, TWO)])
    receipts.save([receipt(b"u", node, 200, policy_seq=2) for node in (TWO, THREE)])
    assert tally(puts) == Tally(2, 200)
    receipts.prove(A, {(b"u", ONE): Proof(150, "live")})
    assert tally(puts) == Tally(2, 200)
    receipts.prove(A, {(b"u", ONE): Proof(250, "live")})
    assert tally(puts) == Tally(3, 200)


def test_there_are_never_more_copies_than_wanted() -> None:
    _, puts, receipts = tables(replicas=2)
    receipts.save([receipt(b"u", node, 100) for node in (ONE, TWO, THREE, FOUR)])
    assert tally(puts).copies == 2


def test_proofs_go_with_the_put_and_damaged_ones_are_passed_over() -> None:
    table, puts, receipts = tables()
    receipts.save([receipt(b"u", ONE, 100)])
    receipts.prove(A, {(b"u", ONE): Proof(200, "silent", "nobody there")})
    assert receipts.proofs(A) == {(b"u", ONE): Proof(200, "silent", "nobody there")}
    assert receipts.proofs(B) == {}
    [(key, _)] = table.scan(b"proof/")
    table.write([(key, b"\xc1")])
    assert receipts.proofs(A) == {}
    puts.remove(A)
    assert table.count(b"proof/") == 0
