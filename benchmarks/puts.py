"""``list`` of a ledger with many puts, which are written into it as a node writes them."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

from benchmarks import processes
from benchmarks.report import Row, at_most
from dhtstore.model.cid import Cid
from dhtstore.model.policy import Policy
from dhtstore.model.receipt import Receipt
from dhtstore.model.signing import attach
from dhtstore.model.unit import Unit
from dhtstore.store.ledger.memory import MemoryKeyValue
from dhtstore.store.ledger.puts import PutRecord, Puts, Receipts
from dhtstore.store.ledger.roots import Roots
from dhtstore.store.ledger.sqlite import SqliteKeyValue

COPIES = 3
BEGAN_UNIX_S = 1_700_000_000
EVERY_S = 60
LIST_TARGET_S = 0.5


def listed(place: Path, puts: int, rounds: int) -> list[Row]:
    """``dhtstore list`` of so many puts; the first makes the pages warm and is not counted."""
    with processes.daemon(place / "node"):
        pass  # it makes its data directory
    ledger = SqliteKeyValue(place / "node" / "ledger.sqlite")
    ledger.write(row for number in range(puts) for row in _rows(number))
    ledger.close()
    with processes.daemon(place / "node") as node:
        home = ("--home", str(node.home))
        firsts_s = [processes.first_byte_s("list", *home) for _ in range(rounds + 1)]
        wholes_s = [node.run("list").seconds for _ in range(rounds)]
    return [
        at_most(f"list of {puts:,} puts", statistics.median(wholes_s), LIST_TARGET_S, "s"),
        at_most(
            f"list of {puts:,} puts, first line",
            statistics.median(firsts_s[1:]),
            LIST_TARGET_S,
            "s",
        ),
    ]


def _rows(number: int) -> Iterator[tuple[bytes, bytes]]:
    """What a put leaves in the ledger."""
    table, root = MemoryKeyValue(), Cid.of(number.to_bytes(8, "big"))
    unit, owner, time = Unit.of((root,), 1000), bytes(32), BEGAN_UNIX_S + number * EVERY_S
    policy = attach(Policy(owner, root.raw, 0, COPIES, 0, False), bytes(64))
    record = PutRecord(f"picture-{number}.jpg", root.raw, number * 100, time, policy, 1)
    roots = Roots(table)
    Puts(table, roots).save(record, [unit])
    Receipts(table, roots).save(
        _receipt(unit, root, policy, holder, time) for holder in range(COPIES)
    )
    yield from table.scan(b"")


def _receipt(unit: Unit, root: Cid, policy: Policy, holder: int, time: int) -> Receipt:
    key = bytes((holder,)) * 32
    node, owner, sequence = key[:20], policy.owner, policy.sequence
    unsigned = Receipt(
        1, "main", node, key, unit.name, root.raw, unit.size_bytes, 1, owner, sequence, time, 0
    )
    return attach(unsigned, bytes(64))
