"""Which holder is asked for which block, and what it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NoReturn

from dhtstore.content.dag.walk import Want
from dhtstore.errors import ConnectionLost, DhtstoreError, PeerRefused
from dhtstore.model.cid import Cid
from dhtstore.model.identity import PublicKey
from dhtstore.model.unit import Unit
from dhtstore.node.fetching.holders import Holders, failure_of
from dhtstore.node.fetching.intake import Arrived, Intake
from dhtstore.node.fetching.opening import ReadBlock
from dhtstore.node.fetching.search import Terms
from dhtstore.node.fetching.searching.further import LooksAround
from dhtstore.node.fetching.searching.unit_holders import UnitHolders
from dhtstore.node.fetching.window import FetchRoom, Window, claimed_bytes
from dhtstore.node.links.link import Arrival, Link
from dhtstore.node.links.own_requests import Admit
from dhtstore.node.traffic.traffic import Pull
from dhtstore.operations.explaining.causes import cause_of
from dhtstore.params import BLOCK_SIZE_MAX_BYTES, WANTS_AT_ONCE
from dhtstore.tasks import Supervisor
from dhtstore.transfer.scheduler import Ask, Scheduler
from dhtstore.wire.frames import Blocks, FrameResponse


class Requests:
    """Carries out what the scheduler decides.  ``wants`` are those that are open, by sequence
    number; blocks go to ``intake`` if there is ``room`` for them; ``quiet`` tells that none which
    came is at work here; ``wake`` is called when there may be something to decide, ``told_busy``
    (``holder_rests``) when a holder says that it is.  ``lossy`` where what came and is not written
    is lost when the process is killed."""

    def __init__(
        self,
        wants: Mapping[int, Want],
        holders: Holders,
        intake: Intake,
        room: FetchRoom,
        pull: Pull,
        quiet: Callable[[], bool],
        tasks: Supervisor,
        wake: Callable[[], None],
        told_busy: Callable[[], None],
        *,
        lossy: bool = False,
    ) -> None:
        self._wants, self._holders, self._intake, self._lossy = wants, holders, intake, lossy
        self._room, self._quiet, self._tasks, self._wake = room, quiet, tasks, wake
        self._pull, self.holder_rests = pull, told_busy
        pull.tell(wake)
        self._scheduler: Scheduler[PublicKey] = Scheduler()
        self._units: dict[bytes, UnitHolders] = {}
        self._looks = LooksAround()
        self._begun = False  # whether a unit was since the last look ahead

    def want(self, want: Want) -> None:
        """Ask somebody for this."""
        if want.unit.name not in self._units:
            self._start_unit(want.unit)
        self._scheduler.want(want.sequence, want.unit.name, claimed_bytes(want))

    def look_ahead(self, window: Window) -> None:
        """Look for the holders of the unit behind those that are begun, before it is wanted."""
        if self._begun and (unit := window.unit_ahead(self._units)) is not None:
            self._holders.prepare(unit)
        self._begun = False

    def send(self) -> bool:
        """Send the requests that are due, as many as limits allow: whether there may be more."""
        for ask in (asks := self._asks()):
            wants = [self._wants[sequence] for sequence in ask.wants]
            self._holders.account(ask.holder).ask(len(wants))
            self._tasks.spawn(self._request(self._holders.link(ask.holder), wants), "get-blocks")
        return sum(len(ask.wants) for ask in asks) >= WANTS_AT_ONCE

    def _asks(self) -> list[Ask[PublicKey]]:
        now, owed_bytes = asyncio.get_running_loop().time(), self._scheduler.owed_bytes
        for room_bytes in self._pull.steps(self._memory_room_bytes, owed_bytes):
            if asks := self._scheduler.next(now, room_bytes, WANTS_AT_ONCE):
                self._pull.asked(self._scheduler.owed_bytes - owed_bytes)
                break
        else:
            asks = []
        if self._scheduler.unfinished:
            self._pull.wait()
        return asks

    def search(self) -> None:
        """Search holders for units that nobody is left for.

        Raises NotFound, IntegrityFailure or Unreachable when searches bring nobody new.
        """
        for sequence in self._scheduler.stuck():
            known = self._units[self._wants[sequence].unit.name]
            if known.searching or (known.exhausted and known.busy):
                continue
            if known.exhausted:
                lacking = self._scheduler.causes(sequence)
                _give_up(self._wants[sequence], known, self._holders, lacking)
            self._holders.search(known)

    def look_around(self) -> None:
        """Give others what silent holders owe, and look for more where they are silent, or few."""
        now = asyncio.get_running_loop().time()
        if self._looks.wait_s(now) > 0:
            return
        self._scheduler.pass_over_stalled(now)
        # Where half of the room is taken, whoever takes the output is slower than the holders are.
        room = self._room.free_bytes >= self._room.memory_bytes // 2
        lively = self._scheduler.lively(now) if room else {}
        for known in self._looks.around(lively, self._units, now):
            self._holders.search(known, further=True)

    def due_s(self) -> float | None:
        """Seconds until ``send`` might ask a second holder for an overdue block, or there is to be
        a look around; None if nothing is wanted."""
        if not self._scheduler.unfinished:
            return None
        now = asyncio.get_running_loop().time()
        hedge_s = self._scheduler.hedge_due_s(now, self._pull.most(self._memory_room_bytes))
        return min(self._looks.wait_s(now), float("inf") if hedge_s is None else hedge_s)

    def finish(self, want: Want) -> None:
        """The block is there: nobody needs to be asked for it."""
        self._scheduler.finish(want.sequence)

    def judge(self, arrived: Sequence[Arrived], read: Sequence[ReadBlock | None]) -> None:
        """Give credit for right blocks, and ask others for those that were wrong."""
        now = asyncio.get_running_loop().time()
        for (link, want, data, _), block in zip(arrived, read, strict=True):
            if block is not None:
                known = self._units[want.unit.name]
                known.searches, known.met = 0, True
                self._looks.heard(want.unit.name, now)
                self._holders.account(link.public_key).gave(len(data))
            else:
                self._scheduler.retry(want.sequence)
                link.tell_wrong(want.cid)
                self._holders.ban(link, f"sent wrong bytes for {want.cid}")

    def holder_found(self, key: PublicKey, unit: Unit) -> None:
        if unit.name in self._units:
            self._scheduler.add_holder(key, unit.name, *self._holders.terms(key).scheduled)
            self._looks.soon()  # it may give what silent ones owe
            self._wake()

    def holder_lost(self, key: PublicKey, why: str) -> None:
        self._scheduler.fail(key, why)
        self._wake()

    def search_ended(self, known: UnitHolders | None) -> None:
        if known is not None:
            self._looks.ended(known, asyncio.get_running_loop().time())
        self._wake()

    def _start_unit(self, unit: Unit) -> None:
        self._begun = True
        known = self._units[unit.name] = self._holders.of(unit)
        self._looks.begin(unit.name, asyncio.get_running_loop().time())
        for key in known.keys:  # found for an earlier fetch
            self._scheduler.add_holder(key, unit.name, *self._holders.terms(key).scheduled)

    async def _request(self, link: Link, wants: Sequence[Want]) -> None:
        """Its failure costs its own blocks only."""
        on_arrival, key = partial(self._on_arrival, link, wants), link.public_key
        admit, terms = partial(self._admit, link, wants), self._holders.terms(key)
        try:
            await _ask(link, [want.cid for want in wants], on_arrival, admit, terms)
        except DhtstoreError as error:
            if not (_is_busy(error) and self._rests(key, wants, error)):
                self._holders.drop(link, cause_of(error))
        finally:
            self._holders.account(key).answered()

    def _rests(self, key: PublicKey, wants: Sequence[Want], error: DhtstoreError) -> bool:
        """Whether it is asked again later."""
        now, sequences = asyncio.get_running_loop().time(), [want.sequence for want in wants]
        if patient := self._scheduler.busy(key, sequences, now):
            self._holders.account(key).rests(cause_of(error))
            self.holder_rests()
        return patient

    @property
    def _memory_room_bytes(self) -> int:
        flight_bytes = self._scheduler.flight_bytes if self._lossy else None
        return _memory_room_bytes(self._room, flight_bytes, self._quiet)

    def _admit(
        self, link: Link, wants: Sequence[Want], response: FrameResponse
    ) -> Callable[[], None] | None:
        """FetchRoom for the blocks of a response; none for what others gave meanwhile."""
        if not isinstance(response, Blocks):
            return None
        sequences, key = [wants[index].sequence for index in response.indices], link.public_key
        due_bytes = sum(self._scheduler.owed(key, sequence) for sequence in sequences)
        if not due_bytes:
            return None
        self._holders.account(key).heard()
        alone = self._scheduler.owed_bytes == due_bytes and self._quiet()
        gone = self._room.take(sum(response.sizes), alone=alone)
        if gone:
            _begin(self._scheduler, link, sequences, sum(response.sizes))
        return gone

    def _on_arrival(self, link: Link, wants: Sequence[Want], arrival: Arrival) -> None:
        key, now = link.public_key, asyncio.get_running_loop().time()
        self._scheduler.debts.came(key)
        self._pull.came(_unclaimed_bytes(wants, arrival))
        for index, size_bytes in arrival.passed_over:
            self._scheduler.passed_over(key, wants[index].sequence, size_bytes, now)
        for index in arrival.missing:
            self._scheduler.lacks(key, wants[index].sequence, "does not have the block", now)
        self._holders.account(key).lacked += len(arrival.missing)
        arrived: list[Arrived] = [
            (link, wants[index], data, arrival.lease)
            for index, data in arrival.blocks
            if self._scheduler.arrived(key, wants[index].sequence, len(data), now)
        ]
        if arrived:
            self._holders.account(key).heard()
            arrival.lease.share(len(arrived))
        else:
            arrival.lease.release()
        self._wake()
        self._intake.take(arrived, unfinished=self._scheduler.unfinished)


def _memory_room_bytes(
    room: FetchRoom, flight_bytes: float | None, quiet: Callable[[], bool]
) -> int:
    """What may be owed: what there is memory for, and where an end would lose what is not written
    yet, no more than keeps the holders busy; one block in any case, when nothing is at work that
    could make room."""
    free_bytes = room.askable_bytes(flight_bytes)
    blocked = free_bytes < BLOCK_SIZE_MAX_BYTES and quiet()
    return BLOCK_SIZE_MAX_BYTES if blocked else free_bytes


def _is_busy(error: DhtstoreError) -> bool:
    return isinstance(error, PeerRefused) and error.code == "busy"


def _give_up(
    want: Want, known: UnitHolders, holders: Holders, lacking: Mapping[PublicKey, str]
) -> NoReturn:
    for key, why in lacking.items():
        holders.lacking(key, why)
    raise failure_of(str(want.cid), known, holders)


def _begin(
    scheduler: Scheduler[PublicKey], link: Link, sequences: Sequence[int], size_bytes: int
) -> None:
    """A body of so many bytes is read from now on: what has come of it shows whether it lives."""
    before_bytes, now = link.stream.received_bytes, asyncio.get_running_loop().time()

    def received() -> int:
        return link.stream.received_bytes - before_bytes

    scheduler.debts.comes(link.public_key, sequences, size_bytes, received, now)


def _unclaimed_bytes(wants: Sequence[Want], arrival: Arrival) -> int:
    """How many bytes more came than were asked for, as their parents claim; below 0: fewer."""
    came = [*arrival.passed_over, *((index, len(data)) for index, data in arrival.blocks)]
    more_bytes = sum(size_bytes - claimed_bytes(wants[index]) for index, size_bytes in came)
    return more_bytes - sum(claimed_bytes(wants[index]) for index in arrival.missing)


async def _ask(
    link: Link,
    cids: Sequence[Cid],
    on_arrival: Callable[[Arrival], None],
    admit: Admit,
    terms: Terms,
) -> None:
    """Who gives what comes to itself and has nothing of what it was asked for is behind, and holds
    others up; raises ConnectionLost then."""
    patience, missing = terms.patience, 0
    if patience is None:
        await link.get_blocks(cids, on_arrival, admit)
        return

    def counted(arrival: Arrival) -> None:
        nonlocal missing
        missing += len(arrival.missing)
        patience.came(asyncio.get_running_loop().time())
        on_arrival(arrival)

    silence_s = patience.silence_s(asyncio.get_running_loop().time())
    await link.get_blocks(cids, counted, admit, silence_s, terms.coming)
    if missing == len(cids):
        raise ConnectionLost("the holder before this one does not have the blocks either")
