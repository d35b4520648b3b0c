"""What of a fetch nobody is asked for yet, and what one request takes of it.  Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Generic

from dhtstore.params import WANTS_PER_REQUEST_MAX
from dhtstore.transfer.books import SKIPS_MAX, S, Supplier, Wanted, common


class Queues(Generic[S]):
    """Wants that nobody owes, of each unit in DAG order; those that some holder lacks come first,
    since fewer can give them."""

    def __init__(self, wants: Mapping[int, Wanted[S]]) -> None:
        self._wants = wants
        # unit -> heaps of sequences, the scarce and the others; finished ones go when they are met
        self._units: dict[bytes, tuple[list[int], list[int]]] = {}

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._units)

    def push(self, want: Wanted[S]) -> None:
        want.queued = True
        scarce, others = self._units.setdefault(want.unit, ([], []))
        heappush(scarce if want.lacking else others, want.sequence)

    def first(self, unit: bytes) -> int | None:
        """Of the wants of a unit the first that is there."""
        found = [want.sequence for heap in self._units[unit] if (want := self._top(heap))]
        return min(found, default=None)

    def common(self, units: Collection[bytes]) -> list[bytes]:
        """Those of ``units`` of which something is wanted."""
        return common(units, self._units)

    def pick(self, holder: Supplier[S], unit: bytes, request: Request[S]) -> None:
        """Fill a request with what this holder does not lack."""
        heaps = self._units[unit]
        for heap in heaps[:1] if request.before else heaps:
            skipped: list[int] = []
            while len(skipped) < SKIPS_MAX and (want := self._top(heap)) is not None:
                if holder.is_not_asked(want, request.before):
                    skipped.append(heappop(heap))
                elif request.takes(want):
                    heappop(heap)
                    want.queued = False
                else:
                    break
            for sequence in skipped:
                heappush(heap, sequence)
        if not any(self._units[unit]):
            del self._units[unit]

    def _top(self, heap: list[int]) -> Wanted[S] | None:
        while heap:
            want = self._wants.get(heap[0])
            if want is not None:
                return want
            heappop(heap)
        return None


@dataclass(slots=True)
class Request(Generic[S]):
    """What one request asks a holder for: within ``room_bytes``, and of more than one block no
    more than it is to be asked for at once; only what those ``before`` it lack."""

    holder: Supplier[S]
    room_bytes: float
    before: Sequence[Supplier[S]] = ()
    wants: list[Wanted[S]] = field(default_factory=list)
    total_bytes: int = 0

    def takes(self, want: Wanted[S]) -> bool:
        """Add a want; False if it does not fit."""
        total_bytes = self.total_bytes + want.size_from(self.holder.name)
        too_much = bool(self.wants) and total_bytes > self.holder.ask_bytes
        if total_bytes > self.room_bytes or too_much or len(self.wants) >= WANTS_PER_REQUEST_MAX:
            return False
        self.wants.append(want)
        self.total_bytes = total_bytes
        return True


class Rota(Generic[S]):
    """Holders are asked in turn, so that none takes all the work."""

    def __init__(self) -> None:
        self._next: S | None = None  # whose turn it was when it ended early

    def take(
        self, holders: Mapping[S, Supplier[S]], ask: Callable[[Supplier[S]], int], wants_max: float
    ) -> None:
        """``ask`` each, which returns for how many wants that was: until nobody is asked any more,
        or that is ``wants_max`` in all.  Who would have been next then is first the next time."""
        turns = deque(holders)
        if self._next is not None and self._next in holders:
            turns.rotate(-turns.index(self._next))
        while turns and wants_max > 0:
            holder = turns.popleft()
            if asked := ask(holders[holder]):
                turns.append(holder)
                wants_max -= asked
        self._next = turns[0] if turns else None
