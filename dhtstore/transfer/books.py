"""The books of a scheduler: what is wanted, who owes it, and for what nobody is left.  Pure.

Peers decide how many wants, units and holders there are, so nothing here that is done often looks
at all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, Generic, TypeVar

from dhtstore.params import (
    HEDGE_DELAY_MIN_S,
    WANTS_PER_REQUEST_MAX,
    WINDOW_BYTES,
    WINDOW_DELAY_S,
    WINDOW_START_BYTES,
)

S = TypeVar("S", bound=Hashable)
T = TypeVar("T")

ASKS_PER_WINDOW: Final = 4  # a request costs as much as a block: few large ones, yet pipelined
CLOCK_GRAIN_S: Final = 1e-6  # a timer may end this much before its time, by rounding
SKIPS_MAX: Final = 256  # wants a holder lacks that are passed over in one search


@dataclass(slots=True)
class Wanted(Generic[S]):
    """A block that is not there yet."""

    sequence: int
    unit: bytes
    size_bytes: int
    asked: dict[S, tuple[float, int]] = field(default_factory=dict)  # holder -> when, for how much
    lacking: dict[S, str] = field(default_factory=dict)  # holder -> why it can't give it
    told: dict[S, int] = field(default_factory=dict)  # holder -> the size that it brought
    queued: bool = True

    def size_from(self, holder: S) -> int:
        """What that holder may bring, as far as is known."""
        return self.told.get(holder, self.size_bytes)

    @property
    def asked_s(self) -> float:
        """When the first of those that owe it was asked."""
        return min(at for at, _ in self.asked.values())


@dataclass(slots=True)
class Supplier(Generic[S]):
    """Who was found, and how it does."""

    name: S
    units: dict[bytes, None] = field(default_factory=dict)
    window_bytes: float = WINDOW_START_BYTES
    owes: dict[int, Wanted[S]] = field(default_factory=dict)
    owed_bytes: int = 0
    gave: int = 0
    lacked: int = 0
    best_s: float = float("inf")
    usual_s: float = HEDGE_DELAY_MIN_S

    @property
    def ask_bytes(self) -> float:
        """What one request asks for, or one block."""
        return max(WINDOW_START_BYTES, self.window_bytes / ASKS_PER_WINDOW)

    @property
    def has_room(self) -> bool:
        """Room for a whole request; a holder that owes nothing may always be asked."""
        return not self.owes or self.owed_bytes + self.ask_bytes <= self.window_bytes

    @property
    def overdue_s(self) -> float:
        """After so long this one would have given a block."""
        return max(float(HEDGE_DELAY_MIN_S), 2 * self.usual_s)

    def answered(self, size_bytes: int, took_s: float) -> None:
        """Adapt: grow by what arrived in time, else shrink towards what fits the delay."""
        self.gave += 1
        self.best_s = min(self.best_s, took_s)
        self.usual_s += (took_s - self.usual_s) / 8
        aim_s = self.best_s + WINDOW_DELAY_S
        if took_s <= aim_s:
            self.window_bytes = min(WINDOW_BYTES, self.window_bytes + size_bytes)
        else:
            shrunk = self.window_bytes * max(0.5, aim_s / took_s)
            self.window_bytes = max(WINDOW_START_BYTES, shrunk)


class Debts(Generic[S]):
    """Which holder owes which want, and what can be asked of a second one."""

    def __init__(self) -> None:
        self.owed_bytes = 0  # by all holders; what two owe counts twice
        self._owed_once: dict[bytes, dict[int, Wanted[S]]] = {}  # unit -> one owes it, by time

    def owe(self, want: Wanted[S], holder: Supplier[S], now: float) -> None:
        """The holder is asked for it now."""
        size_bytes = want.size_from(holder.name)
        want.asked[holder.name] = now, size_bytes
        holder.owes[want.sequence] = want
        holder.owed_bytes += size_bytes
        self.owed_bytes += size_bytes
        self._note(want)

    def settle(self, want: Wanted[S], holder: Supplier[S]) -> None:
        """The holder owes it no more."""
        _, size_bytes = want.asked.pop(holder.name)
        del holder.owes[want.sequence]
        holder.owed_bytes -= size_bytes
        self.owed_bytes -= size_bytes
        self._note(want)

    def dues_s(self, holder: Supplier[S], now: float, room_bytes: float) -> list[float]:
        """In how many seconds ``overdue`` may pick something of a unit, for an idle holder."""
        return [
            want.asked_s + holder.overdue_s - now
            for unit in common(holder.units, self._owed_once)
            for want in islice(self._hedgeable(holder, unit), 1)
            if want.size_from(holder.name) <= room_bytes
        ]

    def overdue(self, holder: Supplier[S], now: float, room_bytes: float) -> list[Wanted[S]]:
        """The wants of a unit that another holder has owed the longest, if this one is idle and
        they are overdue by its own measure: one block, or as many as take no longer."""
        asked_s = now + CLOCK_GRAIN_S - holder.overdue_s
        for unit in () if holder.owes else common(holder.units, self._owed_once):
            picked: list[Wanted[S]] = []
            total = 0
            for want in islice(self._hedgeable(holder, unit), WANTS_PER_REQUEST_MAX):
                total += want.size_from(holder.name)
                too_much = total > room_bytes or (picked and total > WINDOW_START_BYTES)
                if want.asked_s > asked_s or too_much:
                    break
                picked.append(want)
            if picked:
                return picked
        return []

    def _hedgeable(self, holder: Supplier[S], unit: bytes) -> Iterator[Wanted[S]]:
        """What another owes alone, the oldest first; for a holder that owes nothing."""
        for want in islice(self._owed_once[unit].values(), SKIPS_MAX):
            if holder.name not in want.lacking:
                yield want

    def _note(self, want: Wanted[S]) -> None:
        if len(want.asked) == 1:
            self._owed_once.setdefault(want.unit, {})[want.sequence] = want
        else:
            discard(self._owed_once, want.unit, want.sequence)


class Hopes(Generic[S]):
    """Who holds which unit, and for which wants nobody of those is left."""

    def __init__(self) -> None:
        self._names: dict[bytes, dict[S, None]] = {}  # unit -> its holders
        self._doubtful: dict[bytes, dict[int, Wanted[S]]] = {}  # unit -> those some holder lacks
        self._stuck: dict[bytes, dict[int, None]] = {}  # unit -> those that nobody is left for

    def anybody(self, unit: bytes) -> bool:
        return unit in self._names

    def stuck(self) -> dict[bytes, int]:
        return {unit: next(iter(sequences)) for unit, sequences in self._stuck.items()}

    def add(self, holder: S, unit: bytes) -> None:
        self._names.setdefault(unit, {})[holder] = None
        self._look_at_unit(unit)

    def remove(self, holder: S, unit: bytes) -> None:
        discard(self._names, unit, holder)
        self._look_at_unit(unit)

    def finished(self, want: Wanted[S]) -> None:
        discard(self._doubtful, want.unit, want.sequence)
        discard(self._stuck, want.unit, want.sequence)

    def look_at(self, want: Wanted[S]) -> None:
        """Something about a want has changed."""
        names = self._names.get(want.unit, {})
        if want.lacking:
            self._doubtful.setdefault(want.unit, {})[want.sequence] = want
        if want.lacking and want.queued and all(name in want.lacking for name in names):
            self._stuck.setdefault(want.unit, {})[want.sequence] = None
        else:
            discard(self._stuck, want.unit, want.sequence)

    def _look_at_unit(self, unit: bytes) -> None:
        for want in self._doubtful.get(unit, {}).values():
            self.look_at(want)


def common(one: Collection[bytes], other: Collection[bytes]) -> list[bytes]:
    """What is in both, for the cost of the smaller."""
    less, more = (one, other) if len(one) <= len(other) else (other, one)
    return [each for each in less if each in more]


def discard(kept: dict[bytes, dict[T, Any]], key: bytes, value: T) -> None:
    """Take a value out of a table of tables, and leave no empty one."""
    values = kept.get(key)
    if values is not None:
        values.pop(value, None)
        if not values:
            del kept[key]
