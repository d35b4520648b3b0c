"""The books of a scheduler: what is wanted, who owes it, and for what nobody is left.  Pure.

Peers decide how many wants, units and holders there are, so nothing here that is done often looks
at all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from statistics import median
from typing import Any, Final, Generic, TypeVar

from dhtstore.params import (
    BUSY_REST_MAX_S,
    BUSY_REST_S,
    BUSY_WAIT_MAX_S,
    HEDGE_DELAY_MIN_S,
    HEDGE_UNKNOWN_S,
    HEDGED_MIN_BYTES,
    HEDGED_SHARE,
    HOLDER_STALL_S,
    WANTS_PER_REQUEST_MAX,
    WINDOW_BYTES,
    WINDOW_DELAY_S,
    WINDOW_RELAY_BYTES,
    WINDOW_RELAY_S,
    WINDOW_SECOND_S,
    WINDOW_START_BYTES,
)
from dhtstore.transfer.under_way import UnderWay

S = TypeVar("S", bound=Hashable)
T = TypeVar("T")

ASKS_PER_WINDOW: Final = 4  # a request costs as much as a block: few large ones, yet pipelined
CLOCK_GRAIN_S: Final = 1e-6  # a timer may end this much before its time, by rounding
RATE_MEMORY_S: Final = 2.0  # that a rate is measured over, of the time in which a holder owes
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
    came: bool = False  # maybe not verified yet

    def size_from(self, holder: S) -> int:
        """What that holder may bring, as far as is known."""
        return self.told.get(holder, self.size_bytes)

    @property
    def asked_s(self) -> float:
        """When the last of those that owe it was asked."""
        return max(at for at, _ in self.asked.values())


@dataclass(slots=True)
class BusyRate:
    """How fast a holder is while it owes something.  What came long ago counts less and less."""

    last_s: float = 0.0  # when the last block came
    given_bytes: float = 0.0
    busy_s: float = 0.0

    def gave(self, size_bytes: int, asked_s: float, now: float) -> None:
        if self.busy_s > RATE_MEMORY_S:
            self.given_bytes /= 2
            self.busy_s /= 2
        self.given_bytes += size_bytes
        self.busy_s += now - max(asked_s, self.last_s)
        self.last_s = now

    def takes_s(self, size_bytes: float) -> float:
        """How long it takes for so much; 0 if that is not known."""
        return size_bytes * self.busy_s / self.given_bytes if self.given_bytes else 0.0


@dataclass(slots=True)
class Rest:
    """A holder said that it is busy: it is asked nothing for a while, each time twice as long."""

    until_s: float = 0.0
    pause_s: float = BUSY_REST_S / 2
    since_s: float | None = None  # when it said so first, and has given nothing since

    def lasts(self, now: float) -> bool:
        return now < self.until_s

    def begin(self, now: float) -> bool:
        """False if it was busy for too long.  What it said of several requests counts once."""
        self.since_s = now if self.since_s is None else self.since_s
        if not self.lasts(now):
            self.pause_s = min(2 * self.pause_s, BUSY_REST_MAX_S)
            self.until_s = now + self.pause_s
        return now - self.since_s < BUSY_WAIT_MAX_S


@dataclass(slots=True)
class Supplier(Generic[S]):
    """Who was found, and how it does."""

    name: S
    units: dict[bytes, None] = field(default_factory=dict)
    rank: int = 0  # asked only for what those of lower rank fail to give
    relaying: bool = False  # to others while it comes: then requests wait behind what is sent
    window_bytes: float = WINDOW_START_BYTES
    owes: dict[int, Wanted[S]] = field(default_factory=dict)
    late: dict[int, tuple[float, int]] = field(default_factory=dict)  # what others may give now
    owed_bytes: int = 0
    lacked_in_a_row: int = 0
    best_s: float = float("inf")
    usual_s: float = HEDGE_DELAY_MIN_S
    shrunk_s: float = 0.0  # when its window last shrank
    heard_s: float = 0.0  # when it last said anything, or began to owe
    rate: BusyRate = field(default_factory=BusyRate)
    rest: Rest = field(default_factory=Rest)
    coming: UnderWay | None = None

    @property
    def ask_bytes(self) -> float:
        """What one request asks for, or one block."""
        return max(WINDOW_START_BYTES, self.window_bytes / ASKS_PER_WINDOW)

    @property
    def has_room(self) -> bool:
        """Room for a whole request; a holder that owes nothing may always be asked, and one that
        is silent never."""
        if self.late:
            return False
        return not self.owes or self.owed_bytes + self.ask_bytes <= self.window_bytes

    @property
    def flight_bytes(self) -> float:
        """Twice what it gives in the time of one answer, or a block."""
        if not self.rate.busy_s:
            return WINDOW_START_BYTES
        given_bytes = self.best_s * self.rate.given_bytes / self.rate.busy_s
        return max(2 * given_bytes, WINDOW_START_BYTES)

    @property
    def idle(self) -> bool:
        return not (self.owes or self.late)

    def free(self, now: float) -> bool:
        """Whether it owes nothing and may be asked."""
        return self.idle and not self.rest.lasts(now)

    def stalled(self, now: float) -> bool:
        """Whether it owes something and has been silent for longer than it ever should."""
        self._listen(now)
        usual_s = max(self.usual_s, self.rate.takes_s(WINDOW_START_BYTES))
        return bool(self.owes) and now - self.heard_s >= max(HOLDER_STALL_S, 4 * usual_s)

    def gives(self, now: float) -> bool:
        """Whether something of what it was asked for is coming."""
        self._listen(now)
        return self.coming is not None and now - self.heard_s < HOLDER_STALL_S

    def came_of(self, want: Wanted[S]) -> float:
        """How much of that has come, where it is on its way."""
        coming = self.coming
        if coming is None or want.sequence not in coming.sequences:
            return 0.0
        return coming.received() * min(1.0, want.size_bytes / coming.size_bytes)

    def _listen(self, now: float) -> None:
        """A slow answer is no silence."""
        if self.coming is not None and self.coming.lives(self.heard_s, now):
            self.heard_s = now

    def lively(self, now: float) -> bool:
        """Whether it may still be expected to answer."""
        return not (self.late or self.stalled(now) or self.rest.lasts(now))

    def owed(self, want: Wanted[S]) -> int:
        """As how many bytes it owes it, late or not; 0 if it does not."""
        asked = want.asked.get(self.name) or self.late.get(want.sequence)
        return asked[1] if asked else 0

    def heard(self, sequence: int, now: float) -> tuple[float, int] | None:
        """It has said something of a want: when it was asked and for how much, if it was late.
        While something is late, it is asked for nothing else."""
        self.heard_s = now
        asked = self.late.pop(sequence, None)
        if asked is not None:
            self.window_bytes = WINDOW_START_BYTES
        return asked

    def due_s(self, want: Wanted[S]) -> float:
        """When it will have given the first that it owes, by its rate."""
        asked_s, size_bytes = want.asked[self.name]
        return max(asked_s, self.rate.last_s) + self.rate.takes_s(size_bytes)

    def ends_s(self, want: Wanted[S], now: float) -> float:
        """When it will have given that: by what has come of it, or before it, else by its rate."""
        ends_s = None if self.coming is None else self.coming.ends_s(now)
        if self.coming is None or ends_s is None:
            return self.due_s(want)
        if want.sequence in self.coming.sequences:
            return ends_s
        return ends_s + self.rate.takes_s(want.asked[self.name][1])

    @property
    def overdue_s(self) -> float:
        """After so long this one would have given a block."""
        return max(float(HEDGE_DELAY_MIN_S), 2 * self.usual_s)

    def is_not_asked(self, want: Wanted[S], before: Iterable[Supplier[S]]) -> bool:
        """Whether it lacks that, or somebody ``before`` it may have it."""
        first = (each for each in before if want.unit in each.units)
        return self.name in want.lacking or any(each.name not in want.lacking for each in first)

    def answered(self, size_bytes: int, asked_s: float, now: float) -> None:
        """Adapt: grow by what arrived in time, else shrink towards what fits the delay, once for
        all that was asked for before: each says the same, and a window that shrinks with all of
        them is soon less than a long line holds.  A block more than the delay may be queued, since
        requests are for whole ones, if it takes no longer than that."""
        took_s = now - asked_s
        self.rate.gave(size_bytes, asked_s, now)
        self.lacked_in_a_row, self.rest = 0, Rest()
        self.best_s = min(self.best_s, took_s)
        self.usual_s += (took_s - self.usual_s) / 8
        aim_s = self.best_s + WINDOW_DELAY_S + min(WINDOW_DELAY_S, self.rate.takes_s(size_bytes))
        if took_s <= aim_s:
            self.window_bytes = min(WINDOW_BYTES, self.window_bytes + size_bytes)
        elif asked_s >= self.shrunk_s:
            self.shrunk_s = now
            shrunk = self.window_bytes * max(0.5, aim_s / took_s)
            self.window_bytes = max(self._window_min_bytes, shrunk)

    @property
    def _window_min_bytes(self) -> int:
        """One request; two of a holder from which another comes within WINDOW_SECOND_S: else the
        line is idle for a round trip after each, where lost packets let answers come late.  More
        of who feeds a relay: late answers say that our own uplink is full, and nothing of it."""
        takes_s = self.rate.takes_s(WINDOW_START_BYTES)
        if self.relaying and takes_s <= WINDOW_RELAY_S:
            return WINDOW_RELAY_BYTES
        return (2 if takes_s <= WINDOW_SECOND_S else 1) * WINDOW_START_BYTES


@dataclass(slots=True)
class Twice:
    """How much may be fetched twice: one request beyond HEDGED_SHARE of what came, or beyond
    HEDGED_MIN_BYTES.  A crowd whose members all ask two holders takes twice as long, so that each
    holder seems late to all of them."""

    came_bytes: float = 0.0
    in_vain_bytes: float = 0.0
    hedged_bytes: float = 0.0  # owed by another one, too

    @property
    def allowed(self) -> bool:
        most_bytes = max(HEDGED_SHARE * self.came_bytes, HEDGED_MIN_BYTES)
        return self.in_vain_bytes + self.hedged_bytes <= most_bytes


class Debts(Generic[S]):
    """Which holder owes which want, and what can be asked of a second one."""

    def __init__(self, holders: Mapping[S, Supplier[S]]) -> None:
        self.owed_bytes = 0  # by all holders; what two owe counts twice
        self.twice = Twice()
        self._median_s: float | None = None  # for a byte, of the holders that gave something
        self._holders = holders
        self._owed: dict[bytes, dict[int, Wanted[S]]] = {}  # unit -> somebody owes it, by time

    def owe(self, want: Wanted[S], holder: Supplier[S], now: float) -> None:
        """The holder is asked for it now."""
        size_bytes = want.size_from(holder.name)
        if not holder.owes:
            holder.heard_s = now
        self.twice.hedged_bytes += want.size_bytes if want.asked else 0
        want.asked[holder.name] = now, size_bytes
        holder.owes[want.sequence] = want
        holder.owed_bytes += size_bytes
        self.owed_bytes += size_bytes
        self._note(want)

    def settle(self, want: Wanted[S], holder: Supplier[S]) -> None:
        """The holder owes it no more."""
        _, size_bytes = want.asked.pop(holder.name)
        self.twice.hedged_bytes -= want.size_bytes if want.asked else 0
        del holder.owes[want.sequence]
        holder.owed_bytes -= size_bytes
        self.owed_bytes -= size_bytes
        self._note(want)

    def give_up_waiting(self, want: Wanted[S], holder: Supplier[S]) -> None:
        """Others may be asked for it as if this one were not; if it brings it, it is welcome."""
        holder.late[want.sequence] = want.asked[holder.name]
        self.settle(want, holder)

    def gave(
        self,
        want: Wanted[S] | None,
        holder: Supplier[S],
        size_bytes: int,
        asked_s: float,
        now: float,
    ) -> None:
        """Something came that it owed; ``want`` is None if it is here by others already."""
        holder.answered(size_bytes, asked_s, now)
        self._median_s = None
        if want is None or want.came:
            self.twice.in_vain_bytes += size_bytes
        else:
            want.came = True
            self.twice.came_bytes += size_bytes

    def comes(
        self,
        holder: S,
        sequences: Iterable[int],
        size_bytes: int,
        received: Callable[[], int],
        now: float,
    ) -> None:
        """An answer of so many bytes is on its way; ``received`` tells how many are here."""
        known = self._holders.get(holder)
        if known is not None:
            known.heard_s = now
            known.coming = UnderWay(frozenset(sequences), size_bytes, now, received)

    def came(self, holder: S) -> None:
        """All of it is here."""
        known = self._holders.get(holder)
        if known is not None:
            known.coming = None

    def end(self, want: Wanted[S]) -> None:
        """It is here: nobody owes it any more, and what came of it from others was in vain."""
        for name in list(want.asked):
            self.twice.in_vain_bytes += self._holders[name].came_of(want)
            self.settle(want, self._holders[name])

    def dues_s(self, holder: Supplier[S], now: float, room_bytes: float) -> list[float]:
        """In how many seconds ``overdue`` may pick something of a unit, for an idle holder."""
        if not self.twice.allowed:
            return []
        dues_s = [
            self._overdue_at(want, holder, now) - now
            for unit in common(holder.units, self._owed)
            for want in islice(self._hedgeable(holder, unit), 1)
            if want.size_from(holder.name) <= room_bytes
        ]
        return [due_s for due_s in dues_s if due_s < float("inf")]

    def overdue(self, holder: Supplier[S], now: float, room_bytes: float) -> list[Wanted[S]]:
        """The wants of a unit that others have owed the longest, if this one is idle and they are
        overdue by its own measure: one block, or as many as take no longer."""
        may = holder.idle and self.twice.allowed
        for unit in common(holder.units, self._owed) if may else ():
            picked: list[Wanted[S]] = []
            total = 0
            for want in islice(self._hedgeable(holder, unit), WANTS_PER_REQUEST_MAX):
                total += want.size_from(holder.name)
                too_much = total > room_bytes or (picked and total > WINDOW_START_BYTES)
                if too_much or self._overdue_at(want, holder, now) > now + CLOCK_GRAIN_S:
                    break
                picked.append(want)
            if picked:
                return picked
        return []

    def _overdue_at(self, want: Wanted[S], holder: Supplier[S], now: float) -> float:
        """When this holder may be asked, too: as soon as the other is seen to be so slow that this
        one will have it much sooner; where the other gives nothing, when this one would itself
        have given a block; else never, as far as is known now."""
        asked = [self._holders[name] for name in want.asked]
        takes_s = self._takes_s(holder, want.size_from(holder.name))
        giving = [other for other in asked if other.gives(now)]
        if len(asked) == 1 and self._much_sooner(asked[0].ends_s(want, now) - now, takes_s, giving):
            return now
        if giving:
            return float("inf")
        return want.asked_s + max(holder.overdue_s, 2 * takes_s)

    def _much_sooner(self, rest_s: float, takes_s: float, giving: Sequence[Supplier[S]]) -> bool:
        """Whether who would take so long is done much sooner than the other, which gives."""
        if takes_s:
            return rest_s > HEDGE_DELAY_MIN_S + 2 * takes_s
        return bool(giving) and rest_s > HEDGE_UNKNOWN_S

    def _takes_s(self, holder: Supplier[S], size_bytes: int) -> float:
        """How long it takes, and one that gave nothing yet as long as others usually do; 0 if that
        is not known."""
        return holder.rate.takes_s(size_bytes) or size_bytes * self._usual_s()

    def _usual_s(self) -> float:
        if self._median_s is None:
            known = [each.rate.takes_s(1) for each in self._holders.values() if each.rate.busy_s]
            self._median_s = median(known) if known else 0.0
        return self._median_s

    def _hedgeable(self, holder: Supplier[S], unit: bytes) -> Iterator[Wanted[S]]:
        """What others owe, the oldest first, for a holder that owes nothing.  No third is asked
        beside one that is known to give."""
        for want in islice(self._owed[unit].values(), SKIPS_MAX):
            unlacked = holder.name not in want.lacking
            if unlacked and (len(want.asked) == 1 or not self._anybody_gave(want)):
                yield want

    def _anybody_gave(self, want: Wanted[S]) -> bool:
        return any(self._holders[name].rate.given_bytes for name in want.asked)

    def _note(self, want: Wanted[S]) -> None:
        discard(self._owed, want.unit, want.sequence)
        if want.asked:
            self._owed.setdefault(want.unit, {})[want.sequence] = want


class Hopes(Generic[S]):
    """Who holds which unit, and for which wants nobody of those is left."""

    def __init__(self, holders: Mapping[S, Supplier[S]]) -> None:
        self._holders = holders
        self._wanted: dict[bytes, int] = {}  # unit -> how many blocks of it
        self._names: dict[bytes, dict[S, None]] = {}  # unit -> its holders
        self._doubtful: dict[bytes, dict[int, Wanted[S]]] = {}  # unit -> those some holder lacks
        self._stuck: dict[bytes, dict[int, None]] = {}  # unit -> those that nobody is left for

    def anybody(self, unit: bytes) -> bool:
        return unit in self._names

    def names(self, unit: bytes) -> Collection[S]:
        return self._names.get(unit, {})

    def before(self, holder: Supplier[S]) -> list[Supplier[S]]:
        """Those who are asked before it."""
        return [other for other in self._holders.values() if other.rank < holder.rank]

    def last(self) -> list[Supplier[S]]:
        """Those before whom all others are asked, or all where none is."""
        rank = max((known.rank for known in self._holders.values()), default=0)
        return [known for known in self._holders.values() if known.rank == rank]

    def lively(self, unit: bytes, now: float) -> list[S]:
        """Those of its holders that are not silent."""
        return [name for name in self.names(unit) if self._holders[name].lively(now)]

    def answered_for(self, want: Wanted[S], now: float) -> bool:
        """Whether somebody has it, as far as is known, who is not silent."""
        return any(name not in want.lacking for name in self.lively(want.unit, now))

    def wanted_units(self) -> list[bytes]:
        return list(self._wanted)

    def wanted(self, want: Wanted[S]) -> None:
        self._wanted[want.unit] = self._wanted.get(want.unit, 0) + 1

    def stuck(self) -> dict[bytes, int]:
        return {unit: next(iter(sequences)) for unit, sequences in self._stuck.items()}

    def add(self, holder: S, unit: bytes) -> None:
        self._names.setdefault(unit, {})[holder] = None
        self._look_at_unit(unit)

    def remove(self, holder: S, unit: bytes) -> None:
        discard(self._names, unit, holder)
        self._look_at_unit(unit)

    def finished(self, want: Wanted[S]) -> None:
        self._wanted[want.unit] -= 1
        if not self._wanted[want.unit]:
            del self._wanted[want.unit]
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
