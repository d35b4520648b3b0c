"""The holders of one put that fetch one unit: each from the one before it, the first from here.

Who fails is left out, and who stood behind it is told of the one before; who is held up by a slow
one is told to ask this node as well.  What a holder is told goes over its own link, so nobody is
led to others but by the uploader whose room it has reserved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from dhtstore.errors import DhtstoreError
from dhtstore.model.identity import NodeId
from dhtstore.node.links.link import Link
from dhtstore.params import RELAY_LOOK_S, RELEASE_TIMEOUT_S, UPSTREAMS_MAX
from dhtstore.replication.chaining import Membership, falls_behind, in_order
from dhtstore.tasks import Supervisor
from dhtstore.wire.frames import Reroute, Rerouted


@dataclass(frozen=True, slots=True)
class Reserved:
    """Room set aside at a node."""

    link: Link
    reservation: int
    sent_before_bytes: int  # over the link, when room was set aside
    held_bytes: int  # of the unit that it had then


@dataclass(slots=True)
class _Member:
    reserved: Reserved
    since_s: float
    copied_bytes: int = 0
    before_bytes: int = 0  # at the last look
    done_s: float | None = None
    both: bool = False


class Chain:
    """``pipeline`` is whether there is one at all: else each fetches from here alone."""

    def __init__(self, tasks: Supervisor, *, pipeline: bool) -> None:
        self._tasks, self._pipeline = tasks, pipeline
        self._members: dict[NodeId, _Member] = {}  # in their order
        self._watching = False

    def join(self, reserved: Mapping[NodeId, Reserved]) -> None:
        """These fetch the unit, too: behind those who do already."""
        places = [
            Membership(node, each.held_bytes, each.link.origin, each.link.peer_record is not None)
            for node, each in reserved.items()
        ]
        last = next(reversed(self._members), None)
        now_s = asyncio.get_running_loop().time()
        for node in in_order(places):
            self._members[node] = _Member(reserved[node], now_s)
        if last is not None:
            self._tell(last)
        if self._pipeline and not self._watching:
            self._watching = True
            self._tasks.spawn(self._watch(), "watch-chain")

    def relayed(self, node: NodeId) -> bool:
        """Whether it is given blocks by another holder."""
        return bool(self._before(node))

    def upstream(self, node: NodeId) -> tuple[bytes, ...]:
        """The contact records of those before it, the nearest first."""
        records = [member.reserved.link.peer_record for member in self._before(node)]
        return tuple(record.packed for record in records if record is not None)

    def downstream(self, node: NodeId) -> tuple[bytes, ...]:
        """The keys of those who may be served what it receives: all others of this unit, since any
        of them may come to stand behind it."""
        if not self._pipeline:
            return ()
        return tuple(m.reserved.link.public_key for n, m in self._members.items() if n != node)

    @property
    def sent_bytes(self) -> int:
        """To all of them together, for this unit."""
        members = [member.reserved for member in self._members.values()]
        return sum(each.link.sent_bytes - each.sent_before_bytes for each in members)

    def copied(self, node: NodeId, copied_bytes: int, *, done: bool) -> None:
        """It says to have so much."""
        member = self._members[node]
        member.copied_bytes = copied_bytes
        if done:
            member.done_s = asyncio.get_running_loop().time()

    def left(self, node: NodeId) -> None:
        """It failed: who stood behind it has another before it now."""
        nodes = list(self._members)
        behind = nodes[nodes.index(node) + 1 :]
        del self._members[node]
        if behind:
            self._tell(behind[0])
            before = nodes.index(behind[0]) - 2
            if before >= 0:
                self._tell(nodes[before])

    # --- telling them -----------------------------------------------------------------------

    def _before(self, node: NodeId) -> list[_Member]:
        """Those before it, the nearest first."""
        nodes = list(self._members)
        before = nodes[: nodes.index(node)] if self._pipeline else []
        members = [self._members[each] for each in reversed(before)]
        reachable = [each for each in members if each.reserved.link.peer_record is not None]
        return reachable[:UPSTREAMS_MAX]

    def _tell(self, node: NodeId) -> None:
        member = self._members.get(node)
        if self._pipeline and member is not None and member.done_s is None:
            self._tasks.spawn(self._reroute(node, member), "reroute")

    async def _reroute(self, node: NodeId, member: _Member) -> None:
        """Best effort: who hears nothing asks this node when another gives it nothing."""
        said = Reroute(
            reservation=member.reserved.reservation,
            upstream=self.upstream(node),
            downstream=self.downstream(node),
            both=member.both,
        )
        try:
            await member.reserved.link.request(said, Rerouted, RELEASE_TIMEOUT_S)
        except DhtstoreError:
            return

    # --- who is too slow --------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(RELAY_LOOK_S)
            now_s = asyncio.get_running_loop().time()
            for node, member in list(self._members.items()):
                self._look_at(node, member, now_s)
            for member in self._members.values():
                member.before_bytes = member.copied_bytes

    def _look_at(self, node: NodeId, member: _Member, now_s: float) -> None:
        before = self._before(node)
        if not before or member.both or member.done_s is not None:
            return
        ahead = before[0]
        ahead_s = (ahead.done_s or now_s) - ahead.since_s
        came = (member.before_bytes, member.copied_bytes, RELAY_LOOK_S)
        if now_s - member.since_s >= RELAY_LOOK_S and falls_behind(
            *came, ahead.copied_bytes, ahead_s
        ):
            member.both = True
            self._tell(node)
