"""Pull scheduling over many holders: who is asked for which block next.  Pure.

Wants are asked for in order.  Each holder has a window of unanswered bytes that starts small and
grows while its answers come within WINDOW_DELAY_S of its best one, so a slow holder holds few
blocks (delay-based control, as TCP Vegas, Brakmo & Peterson 1995).  When nothing is left to ask
for, an idle holder is asked once more for what another has owed for long.  A holder that fails
gives its wants back; one that sends wrong bytes is banned.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final, Generic

from dhtstore.params import WANTS_PER_REQUEST_MAX
from dhtstore.transfer.books import SKIPS_MAX, Debts, Hopes, S, Supplier, Wanted, common

LACKS_MAX: Final = SKIPS_MAX  # of a holder beyond what it gave: it does not hold what it says


@dataclass(frozen=True, slots=True)
class Ask(Generic[S]):
    """Ask ``holder`` for the wants with these sequence numbers, in this order."""

    holder: S
    wants: tuple[int, ...]


class Scheduler(Generic[S]):
    """Wants and holders of one fetch.  Every method takes ``now`` in seconds where time counts."""

    def __init__(self) -> None:
        self._wants: dict[int, Wanted[S]] = {}
        # unit -> heap of sequences that nobody owes; finished ones are passed over when met
        self._pending: dict[bytes, list[int]] = {}
        self._holders: dict[S, Supplier[S]] = {}
        self._debts: Debts[S] = Debts()
        self._hopes: Hopes[S] = Hopes()
        self._failed: dict[S, str] = {}

    # --- what is wanted, and who may have it ------------------------------------------------

    def want(self, sequence: int, unit: bytes, size_bytes: int) -> None:
        """Add a want; ``unit`` tells which holders hold it."""
        self._wants[sequence] = Wanted(sequence, unit, size_bytes)
        heappush(self._pending.setdefault(unit, []), sequence)

    def add_holder(self, holder: S, unit: bytes) -> None:
        """Somebody holds ``unit``, or says so; one that failed is forgiven."""
        known = self._holders.get(holder)
        if known is None:
            known = self._holders[holder] = Supplier(holder)
        if unit not in known.units:
            known.units[unit] = None
            self._hopes.add(holder, unit)

    @property
    def owed_bytes(self) -> int:
        """By all holders; what two owe counts twice."""
        return self._debts.owed_bytes

    @property
    def unfinished(self) -> int:
        return len(self._wants)

    # --- whom to ask ------------------------------------------------------------------------

    def next(self, now: float, room_bytes: float = float("inf")) -> list[Ask[S]]:
        """Requests to send now, holders in turn, so that none takes all the work; no more than
        ``room_bytes`` are owed in all."""
        asks: list[Ask[S]] = []
        open_holders = list(self._holders.values())
        while open_holders:
            open_holders = [s for s in open_holders if self._ask(s, now, room_bytes, asks)]
        return asks

    def hedge_due_s(self, now: float, room_bytes: float = float("inf")) -> float | None:
        """Seconds until ``next`` might ask a second holder for an overdue want; None if no
        holder is idle, nothing is owed, or there is no room for it."""
        room_bytes -= self.owed_bytes
        idle = [holder for holder in self._holders.values() if not holder.owes]
        dues = [due_s for holder in idle for due_s in self._debts.dues_s(holder, now, room_bytes)]
        return max(0.0, min(dues)) if dues else None

    def _ask(self, holder: Supplier[S], now: float, room_bytes: float, asks: list[Ask[S]]) -> bool:
        room_bytes -= self.owed_bytes
        if room_bytes <= 0:
            return False
        wants = self._pick(holder, room_bytes) or self._debts.overdue(holder, now, room_bytes)
        if wants:
            for want in wants:
                self._debts.owe(want, holder, now)
            asks.append(Ask(holder.name, tuple(want.sequence for want in wants)))
        return bool(wants)

    def _pick(self, holder: Supplier[S], room_bytes: float) -> list[Wanted[S]]:
        """The first pending wants this holder may have: one request's worth."""
        picked: list[Wanted[S]] = []
        skips = total = 0
        for unit in common(holder.units, self._pending) if holder.has_room else ():
            heap = self._pending[unit]
            skipped: list[int] = []
            while len(picked) < WANTS_PER_REQUEST_MAX and skips < SKIPS_MAX:
                want = self._first(heap)
                if want is None or total >= room_bytes:
                    break
                lacking = holder.name in want.lacking
                total += 0 if lacking else want.size_from(holder.name)
                if not lacking and (total > room_bytes or (picked and total > holder.ask_bytes)):
                    break
                heappop(heap)
                if lacking:
                    skips += 1
                    skipped.append(want.sequence)
                else:
                    want.queued = False
                    picked.append(want)
            for sequence in skipped:
                heappush(heap, sequence)
            if not heap:
                del self._pending[unit]
        return picked

    def _first(self, heap: list[int]) -> Wanted[S] | None:
        """The first want of a heap that is not finished."""
        while heap:
            want = self._wants.get(heap[0])
            if want is not None:
                return want
            heappop(heap)
        return None

    # --- what came of it --------------------------------------------------------------------

    def arrived(self, holder: S, sequence: int, size_bytes: int, now: float) -> bool:
        """Bytes came from a holder, not verified yet.  False if they are no longer wanted."""
        want = self._wants.get(sequence)
        if want is None or holder not in want.asked:
            return False
        asked_at, _ = want.asked[holder]
        self._debts.settle(want, self._holders[holder])
        self._holders[holder].answered(size_bytes, now - asked_at)
        return True

    def owed(self, holder: S, sequence: int) -> int:
        """As how many bytes the holder owes it; 0 if it is not wanted any more."""
        want = self._wants.get(sequence)
        return want.asked[holder][1] if want is not None and holder in want.asked else 0

    def passed_over(self, holder: S, sequence: int, told_bytes: int) -> None:
        """The holder brought a block of that size and there was no room: it will be asked again
        when there is."""
        want = self._wants.get(sequence)
        if want is not None and holder in want.asked:
            want.told[holder] = told_bytes
            self._debts.settle(want, self._holders[holder])
            self._requeue(want)

    def finish(self, sequence: int) -> bool:
        """The want is fulfilled; what others still owe of it is waste.  False if it was before."""
        want = self._wants.pop(sequence, None)
        if want is None:
            return False
        for holder in list(want.asked):
            self._debts.settle(want, self._holders[holder])
        self._hopes.finished(want)
        return True

    def lacks(self, holder: S, sequence: int, why: str) -> None:
        """The holder does not give this one; one that lacks very much fails."""
        want, known = self._wants.get(sequence), self._holders.get(holder)
        if want is None:
            return
        want.lacking[holder] = why
        if holder in want.asked:
            self._debts.settle(want, self._holders[holder])
            self._requeue(want)
        self._hopes.look_at(want)
        if known is not None:
            known.lacked += 1
            if known.lacked > LACKS_MAX + known.gave:
                self.fail(holder, "lacks much of what it is said to hold")

    def fail(self, holder: S, why: str) -> None:
        """The holder is gone or not to be trusted: all it owes goes to others."""
        self._failed[holder] = why
        known = self._holders.get(holder)
        if known is None:
            return
        for sequence in list(known.owes):
            want = self._wants[sequence]
            self._debts.settle(want, known)
            self._requeue(want)
        del self._holders[holder]
        for unit in known.units:
            self._hopes.remove(holder, unit)

    def retry(self, sequence: int) -> None:
        """What arrived was lost on our side or was wrong: ask again."""
        want = self._wants.get(sequence)
        if want is not None:
            self._requeue(want)

    def stuck(self) -> list[int]:
        """For each unit with wants that no holder is left for, one of them: nobody owes it, and
        every holder of its unit lacks it or has failed."""
        found = self._hopes.stuck()
        for unit, heap in self._pending.items():
            first = None if self._hopes.anybody(unit) else self._first(heap)
            if first is not None:
                found.setdefault(unit, first.sequence)
        return list(found.values())

    def causes(self, sequence: int) -> dict[S, str]:
        """Why each holder did not give this want."""
        want = self._wants[sequence]
        return {**self._failed, **want.lacking}

    def _requeue(self, want: Wanted[S]) -> None:
        if not want.asked and not want.queued:
            want.queued = True
            heappush(self._pending.setdefault(want.unit, []), want.sequence)
            self._hopes.look_at(want)
