"""The holder's side: is a unit that is kept here still here whole?

Cheap for an honest question, and no lever for others: one unit is looked at at a time, and each
origin has a ration of blocks that it may have looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from dhtstore.errors import PeerRefused
from dhtstore.net.ports import Clock
from dhtstore.node.copies.completeness import Completeness
from dhtstore.node.copies.rereads import Rereads
from dhtstore.node.identity import Identity
from dhtstore.node.links.link import Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.params import REASON_MAX_CHARS
from dhtstore.wire.frames import Check, Checked

NOT_KEPT = "it is not kept here"


@dataclass(slots=True)
class CheckAnswers:
    """``may_know`` is whether a peer may be told what is here."""

    identity: Identity
    completeness: Completeness
    clock: Clock
    may_know: Callable[[Link], bool]
    _rations: Rereads = field(default_factory=Rereads)
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def on_check(self, link: Link, asked: Check, reply: Reply) -> None:
        """Raises PeerRefused for who has asked too much."""
        if not self.may_know(link):
            await reply(Checked(whole=False, why=NOT_KEPT))
            return
        async with self._looking:
            self._take(link, 1)
            run = self.completeness.disk.blocking.run
            why, blocks = await run(self._look, asked.unit)
            self._rations.take(link.origin, 0, blocks, self.clock.monotonic_s())
        await reply(Checked(whole=not why, why=why[:REASON_MAX_CHARS]))

    def _take(self, link: Link, blocks: int) -> None:
        if not self._rations.take(link.origin, 0, blocks, self.clock.monotonic_s()):
            raise PeerRefused("busy", "this node was asked to look at much lately: ask later")

    def _look(self, name: bytes) -> tuple[str, int]:
        """Why it is not here whole, and how many blocks were looked at; in a worker."""
        units = self.completeness.under(name, self.identity.now_unix_s())
        if not units:
            return NOT_KEPT, 0
        looks = [self.completeness.look(unit) for unit in units]
        why = next((each for each, _ in looks if each), "")
        return why, sum(blocks for _, blocks in looks)
