"""Whether what is left of a store and a ledger is what it may be after a crash."""

from __future__ import annotations

from pathlib import Path

from dhtstore.model.cid import Cid
from dhtstore.node.copies.kept import settle_pending
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.blocks.index import ROW_BYTES
from dhtstore.store.ledger.claims import Claims
from dhtstore.store.ledger.sqlite import SqliteKeyValue
from tests.books import booked
from tests.crash.history import History, block
from tests.crash.workload import OWNER, PACK_BYTES, claim_on, row_key

NEW = 1 << 40  # the number of a block that no workload has


def check(directory: Path, history: History) -> None:
    """Opens both as a node does at its start, with nothing done by hand; raises AssertionError, and
    whatever the store raises."""
    store = DiskBlockStore(directory / "blocks", None, pack_size_bytes=PACK_BYTES)
    table = SqliteKeyValue(directory / "ledger.sqlite")
    try:
        claims = Claims(table, own=OWNER)
        settle_pending(claims, store)
        _check_blocks(store, history)
        _check_usage(store, directory / "blocks")
        _check_ledger(store, table, claims, history)
        _check_it_goes_on(store, table)
    finally:
        table.close()
        store.close()


def _check_blocks(store: DiskBlockStore, history: History) -> None:
    found = {cid.multihash for cid in store.cids()}
    for number in history.kept:
        cid, data = block(number)
        assert store.get(cid) == data, f"block {number} is wrong"
    for number in history.unsure:
        cid, data = block(number)
        if cid.multihash in found:
            assert store.get(cid) == data, f"block {number}, not acknowledged, is wrong"
    for received in history.received:
        there = {number for number in received if block(number)[0].multihash in found}
        assert there in (set(), received), f"of {sorted(received)} only {sorted(there)} are here"
    known = {block(number)[0].multihash for number in history.kept | history.unsure}
    assert found <= known, f"{len(found - known)} blocks that were never committed, or deleted"
    assert store.count() == len(found)


def _check_usage(store: DiskBlockStore, blocks: Path) -> None:
    packs_bytes = sum(path.stat().st_size for path in blocks.glob("*.pack"))
    assert booked(store) == packs_bytes + ROW_BYTES * store.count()
    files_bytes = sum(path.stat().st_size for path in blocks.iterdir())
    assert store.used_bytes >= files_bytes, f"{store.used_bytes} told, {files_bytes} used"


def _check_ledger(
    store: DiskBlockStore, table: SqliteKeyValue, claims: Claims, history: History
) -> None:
    assert not claims.pending()
    for number, blocks in history.claims.items():
        claim = next(claims.for_unit(claim_on(number, blocks).unit), None)
        assert claim is not None, f"the claim on {number} is gone"
    for claim in claims.units_kept(0.0):
        roots = [Cid(raw) for raw in claim.unit_roots]
        assert not store.missing(roots), f"a claim on what is not here: {store.missing(roots)}"
    for number, value in history.rows.items():
        held = int(table.get(row_key(number)) or 0)
        assert value <= held <= history.rows_begun[number], f"row {number} is {held}"


def _check_it_goes_on(store: DiskBlockStore, table: SqliteKeyValue) -> None:
    cid, data = block(NEW)
    with store.batch() as batch:
        batch.put(cid, data)
        batch.commit()
    assert store.get(cid) == data
    store.delete([cid])
    table.write([(row_key(NEW), b"1")])
    assert table.get(row_key(NEW)) == b"1"
    table.write([], [row_key(NEW)])
