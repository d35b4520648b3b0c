"""Which units' other owners are seen to in a round."""

from __future__ import annotations

import random
from dataclasses import dataclass

from dhtstore.node.duties.repairing.inheriting.heirs import Lot, drawn
from dhtstore.store.ledger.health.holders import HolderRow, HoldersRow

AWAY = HoldersRow(holders=(HolderRow(b"k", away=True),))
SETTLED = HoldersRow(holders=(HolderRow(b"k", away=True, settled=True),))
SHORT = AWAY._replace(short_since_unix_s=1.0)


@dataclass(frozen=True)
class Looked:
    """As much of a unit as this looks at."""

    number: int
    row: HoldersRow


def rounds(rows: list[HoldersRow], count: int) -> list[set[int]]:
    """The numbers of those drawn in each round, which comes by pages of 200."""
    rng, found = random.Random(1), list[set[int]]()
    for _ in range(count):
        lots = list[Lot]()
        for at in range(0, len(rows), 200):
            page = [Looked(number, rows[number]) for number in range(at, min(at + 200, len(rows)))]
            lots = drawn(lots, page, rng)  # type: ignore[arg-type]
        found.append({one.number for _, one in lots})  # type: ignore[attr-defined]
    return found


def test_each_gets_its_turn_whatever_becomes_of_the_others() -> None:
    found = rounds([AWAY] * 1000, 30)
    assert {len(each) for each in found} == {256}
    assert len(set.union(*found)) == 1000


def test_nobody_is_seen_to_twice_or_before_there_are_copies_enough() -> None:
    assert rounds([SETTLED, AWAY, SHORT, HoldersRow()], 1) == [{1}]
