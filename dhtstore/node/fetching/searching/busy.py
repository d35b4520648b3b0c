"""Holders that say at the door that they are busy: dialled again as those are asked again that say
so later."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from dhtstore.errors import DhtstoreError
from dhtstore.model.identity import PublicKey
from dhtstore.node.fetching.searching.unit_holders import UnitHolders
from dhtstore.node.links.link import Link
from dhtstore.operations.explaining.causes import Cause, cause_of
from dhtstore.tasks import Supervisor
from dhtstore.transfer.books import Rest

Again = Callable[[], Awaitable[Link]]  # dials once more; raises what a dial raises


class Awaited(Protocol):
    """What is told of those that are waited for."""

    def rests(self, key: PublicKey, cause: Cause) -> None:
        """It is busy, and dialled again in a while."""

    def came(self, link: Link, known: UnitHolders) -> None:
        """It has time now."""

    def stays_away(self, key: PublicKey, cause: Cause) -> None:
        """It is waited for no more."""


@dataclass(slots=True)
class _AtTheDoor:
    """``units`` are those that it is wanted for."""

    again: Again
    units: dict[bytes, UnitHolders] = field(default_factory=dict)


class BusyHolders:
    """Those of one command, each waited for BUSY_WAIT_MAX_S in all until it lets us in."""

    def __init__(self, tasks: Supervisor, told: Awaited) -> None:
        self._tasks, self._told = tasks, told
        self._waiting: dict[PublicKey, _AtTheDoor] = {}
        self._rests: dict[PublicKey, Rest] = {}

    def waits(self, key: PublicKey, known: UnitHolders) -> bool:
        """Whether that one is waited for already: then for this unit, too."""
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.units[known.unit.name] = known
            known.busy[key] = None
        return waiting is not None

    def wait(self, key: PublicKey, known: UnitHolders, cause: Cause, again: Again) -> None:
        """It said so just now."""
        if not self.waits(key, known):
            self._waiting[key] = _AtTheDoor(again)
            self.waits(key, known)
            self._tasks.spawn(self._dial_again(key, cause), "dial-busy-holder")

    async def _dial_again(self, key: PublicKey, cause: Cause) -> None:
        link = await self._let_in(key, cause)
        units = self._waiting.pop(key).units.values()
        for known in units:
            known.busy.pop(key, None)
        if isinstance(link, Cause):
            self._told.stays_away(key, link)
            return
        del self._rests[key]
        for known in units:
            self._told.came(link, known)

    async def _let_in(self, key: PublicKey, cause: Cause) -> Link | Cause:
        """A link to it; why there is none, when it was busy for too long or is gone."""
        loop, rest = asyncio.get_running_loop(), self._rests.setdefault(key, Rest())
        while says_busy(cause) and rest.begin(loop.time()):
            self._told.rests(key, cause)
            await asyncio.sleep(rest.until_s - loop.time())
            try:
                return await self._waiting[key].again()
            except DhtstoreError as error:
                cause = cause_of(error)
        return cause


def says_busy(cause: Cause) -> bool:
    """Whether whoever says so may have time later."""
    return cause.code == "busy"
