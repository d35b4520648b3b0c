"""Which holder is asked for which block, and what it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NoReturn

from dhtstore.content.dag.walk import Want
from dhtstore.errors import (
    DhtstoreError,
    IntegrityFailure,
    NotFound,
    PeerRefused,
    Unreachable,
)
from dhtstore.model.identity import PublicKey
from dhtstore.model.unit import Unit
from dhtstore.node.fetching.holders import Holders, UnitHolders
from dhtstore.node.fetching.intake import Arrived, Intake
from dhtstore.node.fetching.window import claimed_bytes
from dhtstore.node.links.link import Arrival, Link
from dhtstore.tasks import Supervisor
from dhtstore.transfer.scheduler import Scheduler


class Requests:
    """Carries out what the scheduler decides.  ``wants`` are those that are open, by sequence
    number; blocks go to ``intake``; ``wake`` is called when there may be something to decide."""

    def __init__(
        self,
        wants: Mapping[int, Want],
        holders: Holders,
        intake: Intake,
        tasks: Supervisor,
        wake: Callable[[], None],
    ) -> None:
        self._wants, self._holders, self._intake = wants, holders, intake
        self._tasks, self._wake = tasks, wake
        self._scheduler: Scheduler[PublicKey] = Scheduler()
        self._units: dict[bytes, UnitHolders] = {}

    def want(self, want: Want) -> None:
        """Ask somebody for this."""
        if want.unit.name not in self._units:
            self._start_unit(want.unit)
        self._scheduler.want(want.sequence, want.unit.name, claimed_bytes(want))

    def send(self) -> None:
        """Send the requests that are due."""
        for ask in self._scheduler.next(asyncio.get_running_loop().time()):
            wants = [self._wants[sequence] for sequence in ask.wants]
            self._holders.account(ask.holder).asked += len(wants)
            self._tasks.spawn(self._request(self._holders.link(ask.holder), wants), "get-blocks")

    def search(self) -> None:
        """Search holders for units that nobody is left for.

        Raises NotFound, IntegrityFailure or Unreachable when searches bring nobody new.
        """
        for sequence in self._scheduler.stuck():
            known = self._units[self._wants[sequence].unit.name]
            if known.searching:
                continue
            if known.exhausted:
                self._give_up(sequence, known)
            self._holders.search(known)

    def hedge_due_s(self) -> float | None:
        """Seconds until ``send`` might ask a second holder for an overdue block, if ever."""
        return self._scheduler.hedge_due_s(asyncio.get_running_loop().time())

    def finish(self, want: Want) -> None:
        """The block is there: nobody needs to be asked for it."""
        self._scheduler.finish(want.sequence)

    def judge(self, arrived: Sequence[Arrived], right: Sequence[bool]) -> None:
        """Give credit for right blocks, and ask others for those that were wrong."""
        for (link, want, data, _), good in zip(arrived, right, strict=True):
            if good:
                self._units[want.unit.name].searches = 0
                account = self._holders.account(link.public_key)
                account.delivered += 1
                account.delivered_bytes += len(data)
            else:
                self._scheduler.retry(want.sequence)
                self._holders.ban(link, f"sent wrong bytes for {want.cid}")

    # --- what the holders tell --------------------------------------------------------------

    def holder_found(self, key: PublicKey, unit: Unit) -> None:
        if unit.name in self._units:
            self._scheduler.add_holder(key, unit.name)
            self._wake()

    def holder_lost(self, key: PublicKey, why: str) -> None:
        self._scheduler.fail(key, why)
        self._wake()

    def search_ended(self) -> None:
        self._wake()

    def _start_unit(self, unit: Unit) -> None:
        known = self._units[unit.name] = self._holders.of(unit)
        for key in known.keys:  # found for an earlier fetch
            self._scheduler.add_holder(key, unit.name)

    # --- one request ------------------------------------------------------------------------

    async def _request(self, link: Link, wants: Sequence[Want]) -> None:
        """Its failure costs its own blocks only."""
        on_arrival = partial(self._on_arrival, link, wants)
        try:
            await link.get_blocks([want.cid for want in wants], on_arrival)
        except PeerRefused as error:
            self._holders.drop(link, refused=str(error))
        except DhtstoreError as error:
            self._holders.drop(link, failed=str(error))

    async def _on_arrival(self, link: Link, wants: Sequence[Want], arrival: Arrival) -> None:
        key, now = link.public_key, asyncio.get_running_loop().time()
        for index in arrival.missing:
            self._scheduler.lacks(key, wants[index].sequence, "does not have the block")
            self._holders.account(key).lacked += 1
        lease = arrival.lease if len(arrival.blocks) == 1 else None  # else they share a buffer
        arrived: list[Arrived] = [
            (link, wants[index], data, lease)
            for index, data in arrival.blocks
            if self._scheduler.arrived(key, wants[index].sequence, len(data), now)
        ]
        if not arrived:
            arrival.lease.release()
        self._wake()
        self._intake.take(arrived, unfinished=self._scheduler.unfinished)
        if self._intake.crowded:  # the holder waits as long as this does
            await self._intake.room()

    def _give_up(self, sequence: int, known: UnitHolders) -> NoReturn:
        cid = self._wants[sequence].cid
        error: DhtstoreError
        if not known.found and known.unreachable:
            error = Unreachable(f"cannot tell who provides {cid}: {known.unreachable}")
        elif not known.found:
            extent = f" ({known.extent})" if known.extent else ""
            error = NotFound(f"nobody provides {cid}{extent}")
        elif self._holders.banned:
            error = IntegrityFailure(f"no holder gives the right bytes of {cid}")
        else:
            error = Unreachable(f"no provider gives {cid}")
        lacking = self._scheduler.causes(sequence)
        told = {self._holders.account(key).node: why for key, why in lacking.items()}
        error.causes = {**self._holders.causes, **told}
        raise error
