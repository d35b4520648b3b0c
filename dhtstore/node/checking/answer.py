"""The holder's side: is a unit that is kept here still here whole?

Cheap for an honest question, and no lever for others: one unit is looked at at a time, for
CHECK_LOOK_S at most, origins take turns, and each has a ration of blocks that it may have looked
at, whether they are there or not.  Who cannot be answered in time is told so: silence would be
written down against this node's copy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from dhtstore.errors import PeerRefused
from dhtstore.model.receipt import Receipt
from dhtstore.net.ports import Clock
from dhtstore.node.checking.turns import OriginTurns
from dhtstore.node.copies.acknowledge import receipt_again
from dhtstore.node.copies.completeness import Completeness, Looked
from dhtstore.node.copies.rereads import Rereads
from dhtstore.node.identity import Identity
from dhtstore.node.links.link import Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.params import CHECK_LOOK_S, CHECK_TURN_S, REASON_MAX_CHARS
from dhtstore.wire.frames import Check, Checked

NOT_KEPT = "it is not kept here"
LEAVING = "it is leaving the network"
GOING = "whether the copy here goes is looked at just now: ask later"


@dataclass(slots=True)
class CheckAnswers:
    """``may_know`` is whether a peer may be told what is here.  A copy whose holder is ``leaving``
    is none to count on, though it is still given to whoever fetches it; whether one that is
    ``going`` is, shows in a moment."""

    identity: Identity
    completeness: Completeness
    clock: Clock
    may_know: Callable[[Link], bool]
    leaving: Callable[[], bool] = lambda: False
    going: Callable[[bytes], bool] = lambda unit: False
    _rations: Rereads = field(default_factory=Rereads)
    _turns: OriginTurns = field(default_factory=partial(OriginTurns, CHECK_TURN_S))

    async def on_check(self, link: Link, asked: Check, reply: Reply) -> None:
        """Raises PeerRefused for who has asked too much, and for what takes too long."""
        if not self.may_know(link):
            await reply(Checked(whole=False, why=NOT_KEPT))
            return
        if self.leaving():
            await reply(Checked(whole=False, why=LEAVING))
            return
        if self.going(asked.unit):
            raise PeerRefused("busy", GOING)
        async with self._turns.of(link.origin):
            self._take(link, 1)
            until_s = self.clock.monotonic_s() + CHECK_LOOK_S
            looked = Looked(lambda: self.clock.monotonic_s() > until_s)
            try:
                run = self.completeness.disk.blocking.run
                why = await run(self._look, asked.unit, looked)
            finally:
                self._charge(link, looked.blocks)
        if looked.ended:
            raise PeerRefused("busy", "it takes this node too long to look at the unit")
        receipt = None if why else await run(self._receipt, asked)
        signed = None if receipt is None else receipt.packed
        await reply(Checked(whole=not why, why=why[:REASON_MAX_CHARS], receipt=signed))

    def _take(self, link: Link, blocks: int) -> None:
        if not self._charge(link, blocks):
            raise PeerRefused("busy", "this node was asked to look at much lately: ask later")

    def _charge(self, link: Link, blocks: int) -> bool:
        return self._rations.take(link.origin, 0, blocks, self.clock.monotonic_s())

    def _receipt(self, asked: Check) -> Receipt | None:
        """For the owner that was named: signed anew, since the unit was found whole just now.  In a
        worker."""
        if asked.owner is None or asked.root is None:
            return None
        claims = self.completeness.ledger.claims
        return receipt_again(self.identity, claims, asked.owner, asked.root, asked.unit)

    def _look(self, name: bytes, looked: Looked) -> str:
        """Why it is not here whole; in a worker."""
        units = self.completeness.under(name, self.identity.now_unix_s())
        if not units:
            return NOT_KEPT
        return next((why for unit in units if (why := self.completeness.look(unit, looked))), "")
