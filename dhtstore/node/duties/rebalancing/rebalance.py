"""New disks get their share: this node moves some of what it holds to emptier nodes.

data path: units of which this node is the farthest holder -> nodes of its table that are nearer and
have been there for a while -> one of them says how full it is -> ``replication.repair.moving`` ->
a copy is made there under the owner's grant -> the one here is a surplus, which repair drops once
the others have proved theirs.

It rests while anything is to be repaired, and takes a part of the same day's budget.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from dhtstore.model.contact import Contact, subnet
from dhtstore.model.identity import DhtKey, NodeId, PublicKey, format_node, node_id
from dhtstore.node.duties.presences import Presences
from dhtstore.node.duties.rebalancing.asking_room import AskRoom
from dhtstore.node.duties.repairing.repair import Repair
from dhtstore.node.duties.repairing.told import UnitDone
from dhtstore.node.duties.repairing.watching import Watched
from dhtstore.params import MOVE_MARGIN, MOVE_UNITS_MAX, MOVES_PER_LOOK_MAX
from dhtstore.replication.repair.moving import Fill, Taker, evens_out, kept_back, may_take
from dhtstore.replication.repair.plan import Act


@dataclass(frozen=True, slots=True)
class Rebalance:
    """``near`` are those known nodes that are closest to a key; ``fill`` is how full this node is;
    who is ``leaving`` hands over all."""

    repair: Repair
    near: Callable[[DhtKey], Sequence[Contact]]
    presences: Presences
    ask: AskRoom
    fill: Callable[[], Fill]
    leaving: Callable[[], bool]
    rng: random.Random

    async def run(self) -> None:
        """Forever.  Raises NoRoom, HomeUnusable."""
        await self.repair.joined.wait()
        while True:
            pause_s = self.repair.periods.move_look_s
            await asyncio.sleep(pause_s * self.rng.uniform(0.5, 1.5))
            await self.look()

    async def look(self) -> list[UnitDone]:
        """Move some, if there is somebody to take them; what was done."""
        async with self.repair.alone():
            here, units = await self._movable()
            to = await self._taker(units, here)
            return [] if to is None else await self._move_some(units, to, here)

    async def planned(self) -> list[UnitDone]:
        """What is to be moved by the next look, as far as is known now; nobody is asked."""
        async with self.repair.alone():
            here, units = await self._movable()
            known = {node: fill for node in self._takers(units) if (fill := self._known(node))}
        told: list[UnitDone] = []
        for one in units:
            for contact in self._for(one):
                there = known.get(contact.node)
                if there and evens_out(one.claim.stored_bytes, here, there):
                    told.append(_told(one, contact.node, here, there))
                    known[contact.node] = there.with_more(one.claim.stored_bytes)
                    here = here.with_more(-one.claim.stored_bytes)
                    break
        return told[:MOVES_PER_LOOK_MAX]

    # --- what and whereto -----------------------------------------------------------------------

    async def _movable(self) -> tuple[Fill, list[Watched]]:
        """How full this node is, without what is about to go, and which of its units may move, in
        any order.  None do while something is to be repaired, or where nobody can be much emptier.
        """
        here = await self.repair.completeness.disk.blocking.run(self.fill)
        if self.repair.short or self.leaving() or here.share < MOVE_MARGIN:
            return here, []
        units: list[Watched] = []
        async for page in self.repair.units.pages():
            units += [one for one in page if self._may_move(one)]
            going = [one for one in page if one.row.surplus_since_unix_s and not one.stays]
            here = here.with_more(-sum(one.claim.stored_bytes for one in going))
        return here, self.rng.sample(units, min(len(units), MOVE_UNITS_MAX))

    def _may_move(self, one: Watched) -> bool:
        granted = self.repair.acting.may_bring(one)
        return granted and not kept_back(self.repair.judge.health(one))

    def _for(self, one: Watched) -> list[Contact]:
        """Who may take it, by all but their disk."""
        health, fellows = self.repair.judge.health(one), self.repair.fellows
        places = [fellows.of(key).place for key in one.holders]
        taken = [subnet(place) for place in places if place is not None]
        own = self.repair.acting.domain().subnet
        return [
            contact
            for contact in self.near(one.unit.key)
            if contact.storage and may_take(health, self._as_taker(contact), taken, own)
        ]

    def _as_taker(self, contact: Contact) -> Taker:
        merit = self.presences.merit(contact.node)
        return Taker(contact.node, merit.presence, subnet(contact.address))

    def _known(self, node: NodeId) -> Fill | None:
        return self.presences.fill(node, self.repair.periods.move_look_s)

    def _takers(self, units: Sequence[Watched]) -> dict[NodeId, Contact]:
        """Those for most of the units first."""
        contacts: dict[NodeId, Contact] = {}
        counts: Counter[NodeId] = Counter()
        for one in units:
            for contact in self._for(one):
                contacts[contact.node] = contact
                counts[contact.node] += 1
        return {node: contacts[node] for node, _ in counts.most_common()}

    async def _taker(self, units: Sequence[Watched], here: Fill) -> Contact | None:
        """One that said just now that it is much emptier.  Those that said so of late come first,
        the emptiest of all, then those of whom that is not known, the newest here first: one is
        asked in a look."""
        takers = self._takers(units)
        known = {node: fill for node in takers if (fill := self._known(node))}
        emptier = [node for node in known if here.share - known[node].share >= MOVE_MARGIN]
        emptier.sort(key=lambda node: known[node].share)
        unknown = [node for node in takers if node not in known]
        unknown.sort(key=lambda node: self.presences.merit(node).presence.watched_s)
        for node in islice((*emptier, *unknown), 1):
            contact = takers[node]
            one = next(each for each in units if contact in self._for(each))
            there = await self.ask.of(contact, one.claim)
            self.presences.told_fill(node, there or Fill(0, 0))
            if there and here.share - there.share >= MOVE_MARGIN:
                return contact
        return None

    # --- doing ----------------------------------------------------------------------------------

    async def _move_some(self, units: Sequence[Watched], to: Contact, here: Fill) -> list[UnitDone]:
        done: list[UnitDone] = []
        for one in units:
            there, size_bytes = self._known(to.node), one.claim.stored_bytes
            if len(done) == MOVES_PER_LOOK_MAX or there is None:
                break
            fits = evens_out(size_bytes, here, there) and self.repair.budget.leaves(size_bytes)
            if not fits or to not in self._for(one):
                continue
            moved = await self._move(one, to, here, there)
            if not moved.made:
                break
            self.presences.told_fill(to.node, there.with_more(size_bytes))
            here = here.with_more(-size_bytes)
            done.append(moved)
        return done

    async def _move(self, one: Watched, to: Contact, here: Fill, there: Fill) -> UnitDone:
        """Looked at afresh: only where all others prove theirs."""
        repair, told = self.repair, _told(one, to.node, here, there)
        if why := await repair.completeness.lack(one.unit):
            return _stays(told, f"the copy here is not whole: {why}")
        await repair.asking.afresh(one)
        repair.judge.judge(one, repair.identity.now_unix_s())
        why, made, sent_bytes = kept_back(repair.judge.health(one)), list[PublicKey](), 0
        if not why:
            brought = await repair.acting.move(one, to)
            why, made, sent_bytes = brought.why, brought.holders, brought.sent_bytes
            await repair.budget.spent(sent_bytes)
        for key in made:
            node = format_node(node_id(key))
            await repair.told.tell("moved", one, told.why, node=node, size_bytes=sent_bytes)
        await repair.notes.write(repair.units.rows.save, {one.id: one.row})
        if not made:
            return _stays(told, why)
        return UnitDone(one, Act.MOVE, told.why, told.copies, len(made), sent_bytes)


def _told(one: Watched, node: NodeId, here: Fill, there: Fill) -> UnitDone:
    why = f"node {format_node(node)} is nearer to it and {there}, this one {here}"
    return UnitDone(one, Act.MOVE, why, one.target)


def _stays(told: UnitDone, why: str) -> UnitDone:
    return UnitDone(told.one, Act.NOTHING, f"{told.why}; {why}", told.copies)
