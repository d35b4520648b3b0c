"""Pull scheduling over many holders: who is asked for which block next.  Pure.

Wants are asked for in order, of the unit first that the fewest hold, and first those that some
holder lacks.  Each holder has a window of unanswered bytes that starts small and
grows while its answers come within WINDOW_DELAY_S of its best one, so a slow holder holds few
blocks (delay-based control, as TCP Vegas, Brakmo & Peterson 1995).  When nothing is left to ask
for, an idle holder is asked once more for what another has owed for long, or will by its rate.  A
holder that is silent is passed over while others answer; one that fails gives its wants back; one
that sends wrong bytes is banned.  One that says that it is busy is asked again after a while.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Final, Generic

from dhtstore.transfer.books import SKIPS_MAX, Debts, Hopes, S, Supplier, Wanted
from dhtstore.transfer.queues import Queues, Request, Rota

LACKS_MAX: Final = SKIPS_MAX  # of a holder in a row: it does not hold what it says


@dataclass(frozen=True, slots=True)
class Ask(Generic[S]):
    """Ask ``holder`` for the wants with these sequence numbers, in this order."""

    holder: S
    wants: tuple[int, ...]


class Scheduler(Generic[S]):
    """Wants and holders of one fetch.  Every method takes ``now`` in seconds where time counts."""

    def __init__(self) -> None:
        self._wants: dict[int, Wanted[S]] = {}
        self._pending: Queues[S] = Queues(self._wants)
        self._holders: dict[S, Supplier[S]] = {}
        self.debts: Debts[S] = Debts(self._holders)
        self._hopes: Hopes[S] = Hopes(self._holders)
        self._rota, self._failed = Rota[S](), dict[S, str]()

    def want(self, sequence: int, unit: bytes, size_bytes: int) -> None:
        """Add a want; ``unit`` tells which holders hold it."""
        want = self._wants[sequence] = Wanted(sequence, unit, size_bytes)
        self._hopes.wanted(want)
        self._pending.push(want)

    def add_holder(self, holder: S, unit: bytes, rank: int = 0, relaying: bool = False) -> None:
        """Somebody holds ``unit``, or says so; one that failed is forgiven.  It is asked only for
        what nobody of lower ``rank`` is left for; ``relaying`` is whether that goes on to others
        at once."""
        known = self._holders.setdefault(holder, Supplier(holder))
        known.rank, known.relaying = rank, relaying
        if unit not in known.units:
            known.units[unit] = None
            self._hopes.add(holder, unit)

    @property
    def owed_bytes(self) -> int:
        """By all holders; what two owe counts twice."""
        return self.debts.owed_bytes

    @property
    def unfinished(self) -> int:
        return len(self._wants)

    def lively(self, now: float) -> dict[bytes, int]:
        """Of each unit of which something is wanted, how many of its holders are not silent."""
        return {unit: len(self._hopes.lively(unit, now)) for unit in self._hopes.wanted_units()}

    @property
    def flight_bytes(self) -> float:
        """What may be owed for no holder to have to wait: see ``Supplier``."""
        return sum(known.flight_bytes for known in self._holders.values())

    def next(self, now: float, room_bytes: float = inf, wants_max: float = inf) -> list[Ask[S]]:
        """Requests to send now, for some ``wants_max``; ``room_bytes`` are owed in all at most."""
        asks: list[Ask[S]] = []
        ask = partial(self._ask, now=now, room_bytes=room_bytes, asks=asks)
        self._rota.take(self._holders, ask, wants_max)
        return asks

    def hedge_due_s(self, now: float, room_bytes: float = inf) -> float | None:
        """Seconds until ``next`` might ask a second holder for an overdue want; None if no
        holder is idle, nothing is owed, or there is no room for it."""
        room_bytes -= self.owed_bytes
        idle = [s for s in self._holders.values() if s.free(now) and not self._hopes.before(s)]
        dues = [due_s for holder in idle for due_s in self.debts.dues_s(holder, now, room_bytes)]
        return max(0.0, min(dues)) if dues else None

    def _ask(self, holder: Supplier[S], now: float, room_bytes: float, asks: list[Ask[S]]) -> int:
        room_bytes -= self.owed_bytes
        if room_bytes <= 0 or holder.rest.lasts(now):
            return 0
        before = self._hopes.before(holder)
        request = Request(holder, room_bytes, before)
        if holder.has_room:
            for unit in sorted(self._pending.common(holder.units), key=self._scarcity):
                self._pending.pick(holder, unit, request)
        wants = request.wants
        if not wants and not before:
            wants = self.debts.overdue(holder, now, room_bytes)
        if wants:
            for want in wants:
                self.debts.owe(want, holder, now)
            asks.append(Ask(holder.name, tuple(want.sequence for want in wants)))
        return len(wants)

    def _scarcity(self, unit: bytes) -> tuple[int, int]:
        return len(self._hopes.names(unit)), self._pending.first(unit) or 0

    def arrived(self, holder: S, sequence: int, size_bytes: int, now: float) -> bool:
        """Bytes came from a holder, not verified yet.  False if they are no longer wanted."""
        want, late = self._wants.get(sequence), self._heard(holder, sequence, now)
        if late is not None:
            self.debts.gave(want, self._holders[holder], size_bytes, late[0], now)
            return want is not None
        if want is None or holder not in want.asked:
            self.debts.twice.in_vain_bytes += size_bytes
            return False
        asked_s, _ = want.asked[holder]
        self.debts.settle(want, self._holders[holder])
        self.debts.gave(want, self._holders[holder], size_bytes, asked_s, now)
        return True

    def owed(self, holder: S, sequence: int) -> int:
        """As how many bytes the holder owes it; 0 if it is not wanted any more."""
        want, known = self._wants.get(sequence), self._holders.get(holder)
        return 0 if want is None or known is None else known.owed(want)

    def passed_over(self, holder: S, sequence: int, told_bytes: int, now: float) -> None:
        """The holder brought a block of that size and there was no room: it will be asked again
        when there is."""
        want = self._wants.get(sequence)
        self._heard(holder, sequence, now)
        if want is not None and holder in want.asked:
            want.told[holder] = told_bytes
            self.debts.settle(want, self._holders[holder])
            self._requeue(want)

    def finish(self, sequence: int) -> bool:
        """The want is fulfilled; what others still owe of it is waste.  False if it was before."""
        want = self._wants.pop(sequence, None)
        if want is not None:
            self.debts.end(want)
            self._hopes.finished(want)
        return want is not None

    def lacks(self, holder: S, sequence: int, why: str, now: float) -> None:
        """The holder does not give this one; one that lacks much, and nothing else, fails."""
        want, known = self._wants.get(sequence), self._holders.get(holder)
        self._heard(holder, sequence, now)
        if want is None:
            return
        want.lacking[holder] = why
        if holder in want.asked:
            self.debts.settle(want, self._holders[holder])
            self._requeue(want)
        self._hopes.look_at(want)
        if known is not None:
            known.lacked_in_a_row += 1
            if known.lacked_in_a_row > LACKS_MAX:
                self.fail(holder, "lacks much of what it is said to hold")

    def busy(self, holder: S, sequences: Sequence[int], now: float) -> bool:
        """It turned down the request for these; others may be asked meanwhile.  False if it has
        done nothing else for too long."""
        for sequence in sequences:
            self.passed_over(holder, sequence, self.owed(holder, sequence), now)
        known = self._holders.get(holder)
        return known is None or known.rest.begin(now)

    def fail(self, holder: S, why: str) -> None:
        """The holder is gone or not to be trusted: all it owes goes to others."""
        self._failed[holder] = why
        if (known := self._holders.get(holder)) is None:
            return
        for want in list(known.owes.values()):
            self.debts.settle(want, known)
            self._requeue(want)
        del self._holders[holder]
        for unit in known.units:
            self._hopes.remove(holder, unit)

    def pass_over_stalled(self, now: float) -> list[S]:
        """Give what silent holders owe to others, where there are any that are not silent; which
        those were.  They are asked for nothing more until they have answered.  Of those who are
        asked before others it is not expected that they have all of it yet."""
        passed_over: list[S] = []
        for known in [each for each in self._hopes.last() if each.stalled(now)]:
            wants = [want for want in known.owes.values() if self._hopes.answered_for(want, now)]
            for want in wants:
                self.debts.give_up_waiting(want, known)
                self._requeue(want)
            if wants:
                passed_over.append(known.name)
        return passed_over

    def retry(self, sequence: int) -> None:
        """What arrived was lost on our side or was wrong: ask again."""
        want = self._wants.get(sequence)
        if want is not None:
            want.came = False
            self._requeue(want)

    def stuck(self) -> list[int]:
        """For each unit with wants that no holder is left for, one of them: nobody owes it, and
        every holder of its unit lacks it or has failed."""
        found = self._hopes.stuck()
        for unit in self._pending:
            first = None if self._hopes.anybody(unit) else self._pending.first(unit)
            if first is not None:
                found.setdefault(unit, first)
        return list(found.values())

    def causes(self, sequence: int) -> dict[S, str]:
        """Why each holder did not give this want."""
        want = self._wants[sequence]
        return {**self._failed, **want.lacking}

    def _heard(self, holder: S, sequence: int, now: float) -> tuple[float, int] | None:
        known = self._holders.get(holder)
        return None if known is None else known.heard(sequence, now)

    def _requeue(self, want: Wanted[S]) -> None:
        if not want.asked and not want.queued:
            self._pending.push(want)
            self._hopes.look_at(want)
