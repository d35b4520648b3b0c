"""One owner that claims one unit for root after root, and many owners that claim it: what one more
claim costs does not grow with those that there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from dhtstore.model.cid import Cid
from dhtstore.model.policy import Claim, Policy
from dhtstore.model.signing import attach
from dhtstore.store.ledger.claims import Claims
from dhtstore.store.ledger.contract import SCAN_PAGE_ROWS
from dhtstore.store.ledger.memory import MemoryKeyValue

CLAIMS = 1500
ROWS_READ_MAX = 20  # for one more claim


class CountingTable(MemoryKeyValue):
    """Counts the rows that it hands out."""

    def __init__(self) -> None:
        super().__init__()
        self.rows_read = 0

    def get(self, key: bytes) -> bytes | None:
        self.rows_read += 1
        return super().get(key)

    def scan(
        self, prefix: bytes, *, after: bytes | None = None, limit: int = SCAN_PAGE_ROWS
    ) -> list[tuple[bytes, bytes]]:
        page = super().scan(prefix, after=after, limit=limit)
        self.rows_read += len(page)
        return page


def claim(owner: int, root: int) -> Claim:
    key, raw = owner.to_bytes(32, "big"), Cid.of(b"root %d" % root).raw
    policy = attach(Policy(key, raw, 1, 3, 0, removed=False), b"s" * 64)
    return Claim(b"unit", (raw,), False, 100, 1, policy)


def rows_read_at_most(claims: Iterable[Claim], do: Callable[[Claims, Claim], object]) -> int:
    table = CountingTable()
    ledger = Claims(table)
    ledger.count_kept(0)
    most = 0
    for each in claims:
        table.rows_read = 0
        do(ledger, each)
        most = max(most, table.rows_read)
    assert ledger.count_kept(0) == 1
    assert ledger.ledger_bytes() == sum(each.ledger_bytes for each in ledger.for_unit(b"unit"))
    return most


@pytest.mark.parametrize("kind", ["roots of one owner", "owners"])
def test_one_more_claim_reads_as_many_rows_as_the_first(kind: str) -> None:
    many = (claim(0, n) if kind == "roots of one owner" else claim(n, 0) for n in range(CLAIMS))
    assert rows_read_at_most(many, Claims.put) <= ROWS_READ_MAX


def test_nor_does_what_is_judged_and_begun_before_it() -> None:
    def whole(ledger: Claims, one: Claim) -> None:
        but = one.unit, one.policy.root
        ledger.usage(one.policy.owner, "192.0.2.0/24", 0.0, but=but)
        ledger.begin(one, 0.0)
        ledger.put(one)

    assert rows_read_at_most((claim(0, n) for n in range(CLAIMS)), whole) <= 2 * ROWS_READ_MAX
