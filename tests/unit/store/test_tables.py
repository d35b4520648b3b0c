"""Pins, claims, puts, receipts and peers, which know nothing of how a KeyValue stores them."""

from __future__ import annotations

import stat
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dhtstore.errors import NoRoom
from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address, Contact
from dhtstore.model.identity import PublicKey
from dhtstore.model.policy import Claim, Grant, Policy
from dhtstore.model.receipt import Receipt
from dhtstore.model.signing import attach, unpack
from dhtstore.operations.keeping import PutSummary
from dhtstore.params import POLICY_MAX_BYTES
from dhtstore.store.ledger.claims import Claims
from dhtstore.store.ledger.contract import KeyValue
from dhtstore.store.ledger.entries import decode_claim, encode_claim
from dhtstore.store.ledger.health.damage import Damage
from dhtstore.store.ledger.listing.tally import Tally
from dhtstore.store.ledger.memory import MemoryKeyValue
from dhtstore.store.ledger.peers import Peers, SeenPeers, SeenRow, SeenRows
from dhtstore.store.ledger.pins import Pin, Pins
from dhtstore.store.ledger.puts import PutRecord, Puts, Receipts
from dhtstore.store.ledger.roots import Roots
from dhtstore.store.ledger.sqlite import SqliteKeyValue
from dhtstore.trace import Tracer, no_trace
from dhtstore.wire.datagram import pack_contact

A, B = Cid.of(b"a"), Cid.of(b"b")
ALICE, BOB = b"A" * 32, b"B" * 32


def policy(
    owner: bytes = ALICE,
    root: Cid = A,
    sequence: int = 1,
    replicas: int = 3,
    *,
    expires: int = 0,
    removed: bool = False,
) -> Policy:
    unsigned = Policy(owner, root.raw, sequence, replicas, expires, removed)
    return attach(unsigned, b"s" * 64)


def claim(unit: bytes, of: Policy) -> Claim:
    return Claim(unit, (of.root,), False, 100, 1, of)


def receipt(unit: bytes, node: bytes, time: int, root: Cid = A, *, policy_seq: int = 1) -> Receipt:
    unsigned = Receipt(1, "main", node, b"k" * 32, unit, root.raw, 9, 1, ALICE, policy_seq, time, 0)
    return attach(unsigned, b"s" * 64)


def test_pins_by_root_and_kind() -> None:
    table = MemoryKeyValue()
    pins = Pins(table, Roots(table))
    pins.add(A, "one", "put", [])
    pins.add(A, "by hand", "user", [])
    pins.add(A, "renamed", "put", [])
    assert pins.list() == [Pin(A.raw, "renamed", "put"), Pin(A.raw, "by hand", "user")]
    assert pins.remove(A, "put")
    assert not pins.remove(A, "put")
    assert pins.list() == [Pin(A.raw, "by hand", "user")]
    assert pins.remove(A, "user")
    assert pins.list() == []


def replicas(claims: Claims, unit: bytes, now_unix_s: float) -> int:
    """The most that any active claim on a unit wants."""
    return max(
        (c.policy.replicas for c in claims.units_kept(now_unix_s) if c.unit == unit), default=0
    )


def test_the_newest_policy_of_a_root_rules_all_its_units() -> None:
    claims = Claims(MemoryKeyValue())
    assert claims.put(claim(b"u1", policy(sequence=5)))
    assert claims.put(claim(b"u2", policy(sequence=5)))
    assert not claims.put(claim(b"u1", policy(sequence=4, replicas=60)))
    assert replicas(claims, b"u1", 0) == 3
    assert claims.update(policy(sequence=6, replicas=7))
    assert not claims.update(policy(sequence=5, replicas=8))
    assert [replicas(claims, unit, 0) for unit in (b"u1", b"u2")] == [7, 7]
    newest = [claim(b"u2", policy(sequence=6, replicas=7))]
    assert list(claims.for_unit(b"u2")) == newest
    assert list(claims.owned(ALICE, A.raw, [b"u2"])) == newest


def test_of_two_policies_of_one_sequence_all_nodes_choose_the_same() -> None:
    """A removal, else the one with the larger hash: whichever came first."""
    seven, eight = policy(sequence=6, replicas=7), policy(sequence=6, replicas=8)
    removal = policy(sequence=6, removed=True)
    chosen = set()
    for order in permutations((seven, eight)):
        claims = Claims(MemoryKeyValue())
        for each in order:
            claims.put(claim(b"u", each))
        chosen.add(claims.policy(ALICE, A.raw))
        assert claims.update(removal)
        assert not any(claims.update(each) for each in order)
    assert len(chosen) == 1


def test_a_grant_stands_beside_the_claim_and_is_charged_with_it() -> None:
    grant = attach(Grant(ALICE, A.raw, b"k" * 20, 100, 1), b"s" * 64)
    plain, claims = claim(b"u", policy()), Claims(MemoryKeyValue())
    granted = replace(plain, grant=grant)
    claims.put(plain)
    before = claims.ledger_bytes()
    claims.put(granted)
    assert list(claims.for_unit(b"u")) == [granted]
    assert claims.ledger_bytes() == before + len(grant.packed)


def test_a_claim_of_before_there_were_grants_has_none() -> None:
    plain = claim(b"u", policy())
    row = msgspec.msgpack.decode(encode_claim(plain))
    assert decode_claim(msgspec.msgpack.encode(row[:-1])) == plain


def test_an_older_policy_cannot_end_a_removal() -> None:
    claims = Claims(MemoryKeyValue())
    claims.put(claim(b"u", policy(sequence=1)))
    claims.update(policy(sequence=2, removed=True))
    assert not claims.put(claim(b"u", policy(sequence=1)))
    assert replicas(claims, b"u", 0) == 0
    claims.forget(b"u")
    assert not claims.put(claim(b"u", policy(sequence=1)))
    assert list(claims.units_kept(0)) == []


def test_a_unit_is_kept_while_anyone_claims_it() -> None:
    claims = Claims(MemoryKeyValue())
    claims.put(claim(b"u", policy(ALICE, A, replicas=2)))
    claims.put(claim(b"u", policy(BOB, B, replicas=4, expires=100)))
    claims.put(claim(b"v", policy(BOB, B, replicas=4, expires=100)))
    assert [c.unit for c in claims.units_kept(50)] == [b"u", b"v"]
    assert next(claims.units_kept(50)).policy.owner == BOB
    assert replicas(claims, b"u", 50) == 4
    assert replicas(claims, b"u", 100) == 2
    assert [c.unit for c in claims.units_kept(100)] == [b"u"]
    claims.update(policy(ALICE, A, sequence=2, removed=True))
    assert list(claims.units_kept(100)) == []
    claims.forget(b"u")
    assert len(list(claims.for_unit(b"v"))) == 1
    assert list(claims.for_unit(b"u")) == []


def recounted(claims: Claims, table: MemoryKeyValue, now_unix_s: float) -> int:
    """The count that was kept up, having seen that a fresh one agrees."""
    count = claims.count_kept(now_unix_s)
    assert Claims(table).count_kept(now_unix_s) == count
    assert len(list(claims.units_kept(now_unix_s))) == count
    return count


def test_units_kept_are_counted_as_claims_come_and_end() -> None:
    table = MemoryKeyValue()
    claims = Claims(table)
    assert recounted(claims, table, 0) == 0
    claims.put(claim(b"u", policy(ALICE, A)))
    claims.put(claim(b"u", policy(BOB, A, expires=100)))
    claims.put(claim(b"v", policy(BOB, A, expires=100)))
    claims.put(claim(b"w", policy(BOB, B, removed=True)))
    assert recounted(claims, table, 0) == 2
    claims.put(claim(b"v", policy(BOB, A, expires=100)))
    assert recounted(claims, table, 99) == 2
    assert recounted(claims, table, 100) == 1
    assert recounted(claims, table, 50) == 2  # a clock that was set back
    claims.put(claim(b"x", policy(BOB, A, sequence=2, expires=200)))
    assert recounted(claims, table, 150) == 3
    claims.forget(b"x")
    assert recounted(claims, table, 150) == 2
    claims.update(policy(BOB, A, sequence=3, removed=True))
    assert recounted(claims, table, 150) == 1
    claims.forget(b"u")
    claims.forget(b"never claimed")
    assert recounted(claims, table, 150) == 0


def test_more_units_than_a_page_of_the_ledger_holds() -> None:
    table = MemoryKeyValue()
    claims = Claims(table)
    for number in range(300):
        for owner in (ALICE, BOB):
            claims.put(claim(b"%03d" % number, policy(owner, A)))
    assert [c.unit for c in claims.units_kept(0)] == [b"%03d" % number for number in range(300)]
    assert recounted(claims, table, 0) == 300
    assert claims.kept(b"299", 0)
    assert not claims.kept(b"300", 0)


def test_a_policy_without_a_claim_is_not_kept() -> None:
    table = MemoryKeyValue()
    assert not Claims(table).update(policy())
    assert table.scan(b"") == []


def test_unit_names_that_begin_alike_are_apart() -> None:
    claims = Claims(MemoryKeyValue())
    claims.put(claim(b"u", policy()))
    claims.put(claim(b"uu", policy()))
    assert len(list(claims.for_unit(b"u"))) == 1


def test_puts_are_listed_oldest_first() -> None:
    table = MemoryKeyValue()
    puts = Puts(table, Roots(table))
    second = PutRecord("b", B.raw, 10, 2.0, policy(root=B), 1)
    first = PutRecord("a", A.raw, 10, 1.5, policy(), 2)
    puts.save(second, [])
    puts.save(first, [])
    assert puts.list() == [first, second]
    assert puts.get(A) == first
    assert puts.count() == 2
    puts.save(replace(first, name="again", created_unix_s=3.0), [])
    assert [record.name for record in puts.list()] == ["b", "again"]


def test_the_newest_receipt_of_a_node_for_a_unit_is_kept() -> None:
    table = MemoryKeyValue()
    receipts = tables_of(table)[1]
    node, other = b"1" * 20, b"2" * 20
    receipts.save([receipt(b"u", node, 5), receipt(b"u", node, 4), receipt(b"u", other, 1)])
    receipts.save([receipt(b"u", node, 3), receipt(b"w", node, 1), receipt(b"u", node, 9, B)])
    kept = [(r.unit, r.node, r.time) for r in receipts.for_root(A)]
    assert kept == [(b"u", node, 5), (b"u", other, 1), (b"w", node, 1)]
    assert len(receipts.for_root(B)) == 1
    Puts(table, Roots(table)).remove(A)
    assert receipts.for_root(A) == []
    assert len(receipts.for_root(B)) == 1


def test_a_receipt_of_an_impossible_time_gives_way_to_that_of_the_next_put() -> None:
    receipts = tables_of(MemoryKeyValue())[1]
    receipts.save([receipt(b"u", b"1" * 20, 2**64 - 1), receipt(b"u", b"2" * 20, -1)])
    assert [each.time for each in receipts.for_root(A)] == [2**64 - 1, -1]
    receipts.save([receipt(b"u", b"1" * 20, 5, policy_seq=2)])
    assert [each.time for each in receipts.for_root(A)] == [5, -1]


def test_receipts_are_counted_when_they_come() -> None:
    """The smallest number over the units, and none before each of them has one."""
    table = MemoryKeyValue()
    puts, receipts = tables_of(table)
    puts.save(PutRecord("a", A.raw, 10, 1.5, policy(), 2), [])
    assert [tally_of(put) for put in listed(puts)] == [Tally()]
    receipts.save([receipt(b"u", b"1" * 20, 7), receipt(b"u", b"2" * 20, 6)])
    assert [tally_of(put) for put in listed(puts)] == [Tally(0, 6)]
    receipts.save([receipt(b"w", b"1" * 20, 8)])
    assert [tally_of(put) for put in listed(puts)] == [Tally(1, 6)]
    [only] = listed(puts)
    assert (only.cid, only.name, only.size, only.replicas) == (str(A), "a", 10, 3)


def test_a_put_is_listed_with_what_receipts_of_it_are_there() -> None:
    table = MemoryKeyValue()
    puts, receipts = tables_of(table)
    receipts.save([receipt(b"u", b"1" * 20, 7), receipt(b"u", b"2" * 20, 6)])
    puts.save(PutRecord("a", A.raw, 10, 1.5, policy(), 1), [])
    assert [tally_of(put) for put in listed(puts)] == [Tally(2, 6)]


def test_a_list_of_many_puts_reads_no_receipts() -> None:
    """One query a put took 3 s for 50,000 puts."""
    table = _ReadsCounted()
    puts, receipts = tables_of(table)
    for number in range(300):
        root = Cid.of(str(number).encode())
        puts.save(PutRecord("x", root.raw, 10, 300.0 - number, policy(root=root), 1), [])
        receipts.save([receipt(b"u", b"1" * 20, 7, root)])
    table.reads = 0
    pages = list(puts.listed(128))
    assert table.reads == 4  # three pages, and none after them
    assert [len(page) for page in pages] == [128, 128, 44]
    found = [put for page in pages for put in page]
    assert [put.created.unix_s for put in found] == [1 + at for at in range(300)]
    assert {put.copies for put in found} == {1}


def listed(puts: Puts) -> list[PutSummary]:
    return [put for page in puts.listed(2) for put in page]


def tally_of(put: PutSummary) -> Tally:
    return Tally(put.copies, put.proved.unix_s if put.proved else 0)


def tables_of(table: KeyValue, tracer: Tracer = no_trace) -> tuple[Puts, Receipts]:
    roots = Roots(table)
    return Puts(table, roots, tracer), Receipts(table, roots, tracer)


class _ReadsCounted(MemoryKeyValue):
    reads = 0

    def get(self, key: bytes) -> bytes | None:
        self.reads += 1
        return super().get(key)

    def scan(
        self, prefix: bytes, *, after: bytes | None = None, limit: int = 64
    ) -> list[tuple[bytes, bytes]]:
        self.reads += 1
        return super().scan(prefix, after=after, limit=limit)


def test_peers_come_back_in_order() -> None:
    table = MemoryKeyValue()
    assert Peers(table).load() == []
    peers = [
        Contact.of(PublicKey(bytes((n,)) * 32), Address("127.0.0.1", 7400 + n), storage=n < 3)
        for n in range(5)
    ]
    Peers(table).save([pack_contact(peer) for peer in peers])
    assert Peers(table).load() == peers


@pytest.mark.parametrize(
    "raw", [b"", b"\xc1", msgspec.msgpack.encode("x"), msgspec.msgpack.encode([[b"k", "h", 1]])]
)
def test_damaged_peers_are_dropped_with_a_trace(raw: bytes) -> None:
    table = MemoryKeyValue()
    table.write([(b"peers", raw)])
    events: list[str] = []
    peers = Peers(table, lambda event, **fields: events.append(event))
    assert peers.load() == []
    assert events == ["peers.damaged"]


def test_impossible_peers_are_dropped_with_a_trace() -> None:
    table = MemoryKeyValue()
    good = Contact.of(PublicKey(b"k" * 32), Address("10.0.0.1", 1))
    packed = pack_contact(good)
    nowhere = pack_contact(Contact.of(PublicKey(b"k" * 32), Address("0.0.0.0", 1)))
    table.write([(b"peers", msgspec.msgpack.encode([packed, b"", packed[:-1], nowhere]))])
    events: list[object] = []
    peers = Peers(table, lambda event, **fields: events.append((event, fields)))
    assert peers.load() == [good]
    assert events == [("peers.invalid", {"dropped": 3})]


def test_who_was_seen_comes_back_and_impossible_rows_do_not() -> None:
    table, events = MemoryKeyValue(), list[object]()
    seen = SeenPeers(table, lambda event, **fields: events.append((event, fields)))
    assert seen.load() == SeenRows()
    good = SeenRow(b"n" * 20, 90.0, 60.0, 20.0)
    wrong = [good._replace(**field) for field in ({"node": b"n"}, {"away_s": -1.0})]
    later = good._replace(heard_s=1e9)
    nothing = good._replace(there_s=float("nan"))
    seen.save(SeenRows(100.0, [good, *wrong, later, nothing]))
    assert seen.load() == SeenRows(100.0, [good])
    assert events == [("peers.invalid", {"dropped": 4})]
    table.write([(b"peers-seen", msgspec.msgpack.encode((float("inf"), [good])))])
    assert seen.load() == SeenRows()
    table.write([(b"peers-seen", b"\xc1")])
    assert seen.load() == SeenRows()
    assert events[-1][0] == "peers.damaged"  # type: ignore[index]


def test_a_damaged_pin_is_kept_by_what_its_key_tells() -> None:
    """Were it passed over, a client would drop what it keeps."""
    table = MemoryKeyValue()
    told: list[str] = []
    pins = Pins(table, Roots(table), lambda event, **fields: told.append(event))
    pins.add(A, "one", "put", [])
    pins.add(B, "two", "user", [])
    table.write([(key, b"\xc1") for key, _ in table.scan(b"pin/")])
    assert sorted((pin.cid, pin.kind, pin.name) for pin in pins.list()) == sorted(
        [(A, "put", ""), (B, "user", "")]
    )
    assert told == ["ledger.damaged"] * 2


def test_damaged_puts_and_receipts_cost_only_themselves() -> None:
    table = MemoryKeyValue()
    told: list[str] = []
    trace = lambda event, **fields: told.append(event)  # noqa: E731 - a tracer
    puts, receipts = tables_of(table, trace)
    for root in (A, B):
        puts.save(PutRecord("name", root.raw, 9, 5.0, policy(root=root), 1), [])
    receipts.save([receipt(b"u", b"x", 1), receipt(b"u", b"y", 1)])
    first = table.scan(b"receipt/")[0][0]
    table.write([(b"put/" + A.raw, b"\xc1"), (first, b"\xc1")])
    assert [put.cid for put in puts.list()] == [B]
    assert [put.cid for put in listed(puts)] == sorted([str(A), str(B)])  # by what was kept ready
    assert puts.get(A) is None
    assert len(receipts.for_root(A)) == 1
    receipts.save([receipt(b"u", b"x", 2)])  # as the next put of it would
    assert len(receipts.for_root(A)) == 2
    assert set(told) == {"ledger.damaged"}


def test_a_damaged_row_of_a_list_is_made_anew_of_its_put() -> None:
    table = MemoryKeyValue()
    told: list[str] = []
    puts, receipts = tables_of(table, lambda event, **fields: told.append(fields["key"]))
    for root in (A, B):
        puts.save(PutRecord("name", root.raw, 9, 5.0, policy(root=root), 1), [])
        receipts.save([receipt(b"u", b"x", 1, root)])
    whole = listed(puts)
    [(first, _), (second, _)] = table.scan(b"listed/")
    table.write([(first, b"\xc1")])
    assert listed(puts) == whole
    assert told == [first.hex()]
    table.write([(second, b"\x80"), (b"put/" + Cid.parse(whole[1].cid).raw, b"\xc1")])
    assert listed(puts) == whole[:1]
    receipts.save([receipt(b"u", b"x", 2, Cid.parse(whole[0].cid))])
    told.clear()
    assert [put.cid for put in listed(puts)] == [whole[0].cid]
    assert first.hex() not in told


def test_a_claim_is_charged_for_the_widest_policy_too(tmp_path: Path) -> None:
    """What later versions may add to a policy stands in the ledger twice."""
    table = SqliteKeyValue(tmp_path / "ledger.sqlite")
    claims = Claims(table)
    charged = 0
    for number in range(300):
        root = Cid.of(b"%d" % number)
        today = policy(root=root).packed
        wide = unpack(Policy, today.replace(b"\x96", b"\x97", 1) + _padding(len(today)))
        assert len(wide.packed) == POLICY_MAX_BYTES
        one = replace(claim(root.raw, wide), unit_roots=(root.raw,))
        claims.put(one)
        charged += one.ledger_bytes
    table.close()
    assert (tmp_path / "ledger.sqlite").stat().st_size <= charged


def _padding(size_bytes: int) -> bytes:
    """One more field, of a later version, that makes a policy of that size as wide as can be."""
    length = POLICY_MAX_BYTES - size_bytes - 3
    return b"\xc5" + length.to_bytes(2, "big") + b"x" * length


def test_a_unit_that_one_owner_claims_twice_is_counted_once_and_each_claim_by_its_row() -> None:
    table = MemoryKeyValue()
    claims = Claims(table)
    row = claim(b"u", policy()).ledger_bytes
    for of in (policy(ALICE, A), policy(ALICE, B), policy(ALICE, A, sequence=2), policy(BOB, A)):
        claims.put(claim(b"u", of))
    claims.put(claim(b"v", policy(ALICE, A)))
    for counted in (claims, Claims(table)):
        held = [held_bytes(counted, owner) for owner in (ALICE, BOB, b"nobody")]
        assert held == [200 + 3 * row, 100 + row, 0]
        assert held_bytes(counted, ALICE, but=(b"u", A.raw)) == 100 + 2 * row
        assert counted.ledger_bytes() == 4 * row
    claims.forget(b"u")
    assert held_bytes(claims, ALICE) == 100 + row


def held_bytes(claims: Claims, owner: bytes, *, but: tuple[bytes, bytes] | None = None) -> int:
    return claims.usage(owner, "", 0, but=but).owner_bytes


def test_a_claim_counts_the_roots_that_it_makes_a_ledger_keep() -> None:
    many = replace(claim(b"u", policy()), unit_roots=(A.raw,) * 1000)
    assert many.ledger_bytes - claim(b"u", policy()).ledger_bytes == 999 * len(A.raw)
    table = MemoryKeyValue()
    Claims(table).put(claim(b"u", policy()))
    rows = sum(len(key) + len(value) for key, value in table.scan(b""))
    assert claim(b"u", policy()).ledger_bytes > rows


@pytest.mark.parametrize("raw", [b"", b"\xc1", msgspec.msgpack.encode("x")])
def test_damaged_rows_are_passed_over_with_a_trace(raw: bytes) -> None:
    told: list[str] = []
    table = MemoryKeyValue()
    claims = Claims(table, lambda event, **fields: told.append(event))
    for unit in (b"u", b"v"):
        claims.put(claim(unit, policy()))
    for key, _ in table.scan(b"claim/"):
        table.write([(key, raw)])
        break
    again = Claims(table, lambda event, **fields: told.append(event))
    assert [c.unit for c in again.units_kept(0)] == [b"v"]
    again.forget(b"u")
    assert held_bytes(again, ALICE) == 100 + claim(b"v", policy()).ledger_bytes
    assert list(again.for_unit(b"u")) == []
    assert set(told) == {"ledger.damaged"}


def test_a_damaged_policy_leaves_the_one_a_claim_was_made_under() -> None:
    table = MemoryKeyValue()
    claims = Claims(table)
    claims.put(claim(b"u", policy()))
    for key, _ in table.scan(b"policy/"):
        table.write([(key, b"\xc1")])
    assert [c.policy for c in claims.units_kept(0)] == [policy()]
    assert claims.put(claim(b"u", policy(sequence=2)))


def test_what_an_earlier_version_claimed_is_charged_and_its_owners_are_no_newcomers() -> None:
    table = MemoryKeyValue()
    claims = Claims(table)
    for unit in (b"u", b"v"):
        claims.put(claim(unit, policy()))
    expected = claims.usage(ALICE, "", 0)
    for prefix in (b"charge", b"owner/"):  # what that version did not write
        table.write([], [key for key, _ in table.scan(prefix)])
    again = Claims(table)
    assert again.usage(ALICE, "", 0) == expected
    assert (expected.known, expected.new) == (True, False)
    again.forget(b"u")
    assert held_bytes(again, ALICE) == 100 + claim(b"v", policy()).ledger_bytes


def test_stored_bytes_are_charged_and_old_rows_without_them_by_their_size() -> None:
    claims = Claims(MemoryKeyValue())
    row = claim(b"u", policy()).ledger_bytes
    claims.put(replace(claim(b"u", policy()), size_bytes=1, stored_bytes=5000))
    claims.put(claim(b"v", policy()))
    assert held_bytes(claims, ALICE) == 5000 + 100 + 2 * row


class FullDisk(MemoryKeyValue):
    """Takes no writes while ``full``."""

    full = False

    def write(self, puts: Any, deletes: Any = ()) -> None:
        if self.full:
            raise NoRoom("the disk is full")
        super().write(puts, deletes)


def test_what_could_not_be_written_is_not_charged() -> None:
    table = FullDisk()
    claims = Claims(table)
    first, second = claim(b"u", policy()), claim(b"v", policy(BOB))
    claims.begin(first, 0)
    before = claims.usage(ALICE, "", 0), claims.usage(BOB, "", 0)
    table.full = True
    for change in (
        lambda: claims.begin(second, 0),
        lambda: claims.put(first),
        lambda: claims.forget(b"u"),
    ):
        with pytest.raises(NoRoom):
            change()
        assert (claims.usage(ALICE, "", 0), claims.usage(BOB, "", 0)) == before
    assert claims.pending() == [first]


@pytest.mark.parametrize("damaged", [b"charge/", b"owner/"])
def test_damaged_charges_are_counted_from_the_claims_themselves(damaged: bytes) -> None:
    table = MemoryKeyValue()
    claims = Claims(table)
    claims.begin(claim(b"u", policy()), 0)
    claims.put(claim(b"u", policy(ALICE, B)))
    expected = claims.usage(ALICE, "", 0)
    table.write([(key, b"\xc1") for key, _ in table.scan(damaged)])
    again = Claims(table)
    assert held_bytes(again, ALICE) == expected.owner_bytes
    again.drop_pending(claim(b"u", policy()))
    assert held_bytes(again, ALICE) == 100 + claim(b"u", policy()).ledger_bytes
    again.forget(b"u")
    assert again.usage(ALICE, "", 0).owners == again.ledger_bytes() == 0


def test_one_damaged_block_is_asked_for_without_a_look_at_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = MemoryKeyValue()
    damage = Damage(table)
    assert A.multihash not in damage
    damage.record(A.multihash)
    monkeypatch.setattr(MemoryKeyValue, "scan", None)
    assert A.multihash in damage
    assert B.multihash not in damage
    damage.forget([A.multihash])
    assert A.multihash not in damage


def test_nobody_else_reads_the_ledger_even_where_the_home_can_be_read(tmp_path: Path) -> None:
    table = SqliteKeyValue(tmp_path / "ledger.sqlite")
    table.write([(b"key", b"value")])
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    table.close()
