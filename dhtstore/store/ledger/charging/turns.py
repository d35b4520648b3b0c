"""In what order units come that are claimed: pure, from the rows of what is charged."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from dhtstore.store.ledger.entries import Charges


class ChargeRow(NamedTuple):
    """What one owner is charged with for one unit."""

    unit: bytes
    owner: bytes
    charges: Charges


def of_others_in_turns(rows: Iterable[ChargeRow], own: bytes) -> Iterator[bytes]:
    """The units that ``own`` does not claim, each once, one of each origin at a time: whoever
    brought many waits for itself.  Rows of one unit are neighbours."""
    lines: dict[str, deque[bytes]] = {}
    for unit, of_unit in groupby(rows, lambda row: row.unit):
        claimed = list(of_unit)
        if any(row.owner == own for row in claimed):
            continue
        for origin in dict.fromkeys(each.origin for row in claimed for each in row.charges):
            lines.setdefault(origin, deque()).append(unit)
    return _in_turns(deque(lines.values()))


def _in_turns(lines: deque[deque[bytes]]) -> Iterator[bytes]:
    passed: set[bytes] = set()
    while lines:
        line = lines.popleft()
        unit = line.popleft()
        if line:
            lines.append(line)
        if unit not in passed:
            passed.add(unit)
            yield unit
