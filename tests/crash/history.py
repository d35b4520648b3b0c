"""What a workload said of itself before it was cut short, and what must be true then.

A mark is a line: a word and numbers, of blocks but for the first one of ``claim`` (the unit) and
both of ``row``.  ``commit`` and ``receive`` (all or nothing) say what is about to be committed,
``kept`` what was, ``delete`` and ``deleted`` the same of what goes; ``claimed`` that the unit is,
with its blocks; ``row`` and ``written`` that a key of the ledger gets, and has, a value.
``at`` and a word say what is done from here on.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

from dhtstore.model.cid import Cid


@cache
def block(number: int) -> tuple[Cid, bytes]:
    rng = random.Random(number)
    data = rng.randbytes(rng.choice((100, 100, 3000, 20_000)))
    return Cid.of(data), data


@dataclass(slots=True)
class History:
    """``kept`` blocks must be there, ``unsure`` ones may be, no others are."""

    kept: set[int] = field(default_factory=set)
    unsure: set[int] = field(default_factory=set)
    received: list[frozenset[int]] = field(default_factory=list)  # each wholly there or not
    claims: dict[int, tuple[int, ...]] = field(default_factory=dict)
    rows: dict[int, int] = field(default_factory=dict)
    rows_begun: dict[int, int] = field(default_factory=dict)
    at: str = "open"

    @classmethod
    def of(cls, marks: Iterable[str]) -> History:
        history = cls()
        for mark in marks:
            history.add(mark)
        return history

    def add(self, mark: str) -> None:
        word, *rest = mark.split()
        if word == "at":
            self.at = rest[0]
            return
        numbers = [int(each) for each in rest]
        if word in ("commit", "receive"):
            self.unsure |= set(numbers) - self.kept
            if word == "receive":
                self.received.append(frozenset(numbers) - self.kept)
        elif word == "kept":
            self.kept |= set(numbers)
            self.unsure -= set(numbers)
        elif word == "delete":
            self.kept -= set(numbers)
            self.unsure |= set(numbers)
            self.received = [each for each in self.received if not each & set(numbers)]
        elif word == "deleted":
            self.unsure -= set(numbers)
        elif word == "claimed":
            self.claims[numbers[0]] = tuple(numbers[1:])
        elif word == "row":
            self.rows_begun[numbers[0]] = numbers[1]
        else:
            assert word == "written", mark
            self.rows[numbers[0]] = numbers[1]
