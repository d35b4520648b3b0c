"""The rows of lists against what puts, receipts and proofs come to, after whatever was written."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit
from dhtstore.operations.moment import Moment
from dhtstore.store.ledger.contract import KeyValue
from dhtstore.store.ledger.listing.listing import LISTED, ListedPut
from dhtstore.store.ledger.listing.tally import Proof, Tally, holder_sets, plausible
from dhtstore.store.ledger.memory import MemoryKeyValue
from dhtstore.store.ledger.puts import PUT_ROWS, PutRecord, Puts, Receipts
from dhtstore.store.ledger.roots import Roots
from dhtstore.store.ledger.sqlite import SqliteKeyValue
from dhtstore.store.ledger.upgrade import LEDGER_LAYOUT, upgrade
from tests.in_memory import base_in_memory
from tests.unit.store.test_tables import policy, receipt

ROOTS = [Cid.of(b"root %d" % number) for number in range(3)]
NODES = [bytes((number,)) * 20 for number in range(3)]
UNITS = [b"u", b"v"]
roots, nodes, units = st.sampled_from(ROOTS), st.sampled_from(NODES), st.sampled_from(UNITS)
times = st.integers(0, 5)
created = st.sampled_from([-2.5, -1.0, 0.0, 0.25, 1.0, 1.5, 1e9, 1e15])


class ListedPuts(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.table = self.new_table()
        self.puts, self.receipts = self.opened()

    def new_table(self) -> KeyValue:
        return MemoryKeyValue()

    def opened(self) -> tuple[Puts, Receipts]:
        roots = Roots(self.table)
        return Puts(self.table, roots), Receipts(self.table, roots)

    @rule(root=roots, when=created, sequence=times, name=st.text(max_size=3), cut=st.integers(1, 2))
    def put(self, root: Cid, when: float, sequence: int, name: str, cut: int) -> None:
        signed = policy(root=root, sequence=sequence, replicas=2, expires=sequence)
        self.puts.save(PutRecord(name, root.raw, 9, when, signed, cut), [Unit.of((root,), 9)])

    @rule(wanted=st.lists(st.tuples(roots, units, nodes, times, times), max_size=4))
    def receive(self, wanted: list[tuple[Cid, bytes, bytes, int, int]]) -> None:
        self.receipts.save(
            receipt(unit, node, time, root, policy_seq=sequence)
            for root, unit, node, time, sequence in wanted
        )

    @rule(
        root=roots,
        found=st.dictionaries(
            st.tuples(units, nodes),
            st.builds(Proof, times, st.sampled_from(["live", "lacks", "silent"])),
        ),
    )
    def prove(self, root: Cid, found: dict[tuple[bytes, bytes], Proof]) -> None:
        self.receipts.prove(root, found)

    @rule(root=roots)
    def remove(self, root: Cid) -> None:
        self.puts.remove(root)

    @rule(root=roots, when=created)
    def mend(self, root: Cid, when: float) -> None:
        """A put whose row is damaged is put again, or forgotten."""
        if self.puts.get(root) is not None:
            self.table.write([(b"put/" + root.raw, b"\xc1")])
            self.remove(root) if when < 1 else self.put(root, when, 1, "again", 1)

    @rule()
    def come_from_an_earlier_layout(self) -> None:
        self.table.write(
            [(b"layout", msgspec.msgpack.encode(LEDGER_LAYOUT - 1))],
            [key for key, _ in self.table.scan(LISTED)],
        )
        upgrade(self.table, lambda event, **fields: pytest.fail(event))

    @invariant()
    def rows_are_what_they_are_made_of(self) -> None:
        listed = [put for page in self.puts.listed(2) for put in page]
        assert listed == [self.told(put) for put in self.puts.list()]
        assert self.table.count(LISTED) == self.puts.count()

    @invariant()
    def all_of_them_are_remembered_with_the_puts(self) -> None:
        others = [key for key, _ in self.table.scan(b"") if not key.startswith(PUT_ROWS)]
        assert others in ([], [b"layout"])

    def told(self, put: PutRecord) -> ListedPut:
        receipts, proofs = self.receipts.for_root(put.cid), self.receipts.proofs(put.cid)
        proved = plausible(receipts, proofs)
        tally = Tally.of(proved, put.units, put.policy.replicas)
        return ListedPut(
            put.name,
            str(put.cid),
            put.size_bytes,
            Moment.at(put.created_unix_s),
            tally.copies,
            put.policy.replicas,
            Moment.at_or_never(put.policy.expires),
            Moment.at_or_never(tally.proved_unix_s),
            sets=holder_sets(proved),
        )


class ListedPutsOnDisk(ListedPuts):
    def new_table(self) -> KeyValue:
        self.place = Path(tempfile.mkdtemp(dir=base_in_memory()))
        return SqliteKeyValue(self.place / "ledger.sqlite")

    def teardown(self) -> None:
        self.table.close()
        shutil.rmtree(self.place)


TestListedPuts = ListedPuts.TestCase
TestListedPuts.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestListedPutsOnDisk = ListedPutsOnDisk.TestCase
TestListedPutsOnDisk.settings = settings(max_examples=8, stateful_step_count=20, deadline=None)
