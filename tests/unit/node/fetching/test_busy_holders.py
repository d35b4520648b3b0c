"""A holder that is busy is asked again, told as busy meanwhile, and others give what they have."""

from __future__ import annotations

import pytest

from dhtstore.content.dag.file_walk import FileWalk
from dhtstore.errors import PeerRefused, TimedOut, Unreachable
from dhtstore.model.cid import Cid
from dhtstore.model.identity import node_id
from dhtstore.node.fetching.delivery import Delivery
from dhtstore.node.fetching.dht_search import DhtSearch
from dhtstore.node.fetching.search import FixedHolders
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.links.link import Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.operations.explaining.causes import CauseKind
from dhtstore.operations.operation import HolderProgress
from dhtstore.params import BUSY_WAIT_MAX_S
from dhtstore.wire.frames import GetBlocks
from tests.unit.node.data_plane import Peer, World, play
from tests.unit.node.fetching.test_dht_search import NOWHERE, ScriptedLookups, contact_at, provider
from tests.unit.node.fetching.test_false_holders import EndsEarly, named
from tests.unit.node.test_fetch import CONTENT, File


class Busy:
    """A holder that turns so many requests down."""

    def __init__(self, times: float) -> None:
        self.left, self.asked_s = times, list[float]()
        self.peer: Peer | None = None

    async def on_get(self, link: Link, request: GetBlocks, reply: Reply) -> None:
        assert self.peer is not None
        self.asked_s.append(self.peer.world.loop.time())
        if self.left > 0:
            self.left -= 1
            raise PeerRefused("busy", "come back later")
        await self.peer.server.serve(link, request, reply)


async def busy_holder(world: World, times: float) -> tuple[Busy, Cid]:
    busy = Busy(times)
    busy.peer = await world.peer("busy", {GetBlocks: busy.on_get})
    return busy, busy.peer.hold(CONTENT)


async def fetched(
    getter: Peer, root: Cid, others: list[Peer], timeout_s: float | None = None
) -> tuple[FetchSession, list[list[HolderProgress]]]:
    links = [await getter.links.to(each.key, [each.address], 5.0) for each in others]
    file, told = File(), list[list[HolderProgress]]()
    async with FetchSession(getter.disk, FixedHolders(links)) as session:
        delivery = Delivery(file.accept, progress=lambda done: told.append(session.given()))
        await session.fetch(FileWalk(root), delivery, timeout_s=timeout_s)
    assert bytes(file.data) == CONTENT
    return session, told


def test_the_only_holder_is_asked_again_after_longer_and_longer_pauses() -> None:
    async def scene(world: World) -> None:
        busy, root = await busy_holder(world, 4)
        assert busy.peer is not None
        session, told = await fetched(await world.peer("getter"), root, [busy.peer])
        pauses = [round(b - a) for a, b in zip(busy.asked_s, busy.asked_s[1:], strict=False)]
        assert pauses[:4] == [1, 2, 4, 8]
        [holder] = session.report().holders
        assert (holder.busy, holder.cause) == (4, None)
        assert [each[0].busy for each in told[:4]] == [True] * 4
        assert not told[-1][0].busy

    play(scene)


def test_others_give_meanwhile() -> None:
    async def scene(world: World) -> None:
        busy, root = await busy_holder(world, 1000)
        other = await world.peer("other")
        other.hold(CONTENT)
        assert busy.peer is not None
        began_s = world.loop.time()
        session, _ = await fetched(await world.peer("getter"), root, [busy.peer, other])
        assert world.loop.time() - began_s < 2
        causes = {each.node: each.cause for each in session.report().holders}
        assert sorted(cause.code for cause in causes.values() if cause) == ["busy"]

    play(scene)


def test_a_deadline_counts_and_says_who_was_busy() -> None:
    async def scene(world: World) -> None:
        busy, root = await busy_holder(world, 1000)
        assert busy.peer is not None
        with pytest.raises(TimedOut, match=r"waiting until node .* has time"):
            await fetched(await world.peer("getter"), root, [busy.peer], 20)
        assert len(busy.asked_s) == 5

    play(scene)


def test_who_is_busy_for_ever_has_refused() -> None:
    async def scene(world: World) -> None:
        busy, root = await busy_holder(world, float("inf"))
        assert busy.peer is not None
        began_s = world.loop.time()
        with pytest.raises(Unreachable) as refused:
            await fetched(await world.peer("getter"), root, [busy.peer])
        assert "come back later" in str(refused.value.causes)
        assert BUSY_WAIT_MAX_S <= world.loop.time() - began_s < 5 * BUSY_WAIT_MAX_S

    play(scene)


# --- at the door ----------------------------------------------------------------------------


class Door:
    """Lets nobody in for so many times."""

    def __init__(self, peer: Peer, times: float) -> None:
        self.peer, self.left, self.asked_s = peer, times, list[float]()
        peer.links._newcomers._busy = self.busy

    def busy(self, origin: str) -> bool:
        self.asked_s.append(self.peer.world.loop.time())
        self.left -= 1
        return self.left >= 0


async def looked_for(
    getter: Peer, root: Cid, lookups: ScriptedLookups, timeout_s: float | None = None
) -> tuple[FetchSession, list[list[HolderProgress]]]:
    file, told = File(), list[list[HolderProgress]]()
    search = DhtSearch(lookups, getter.links, getter.key)
    async with FetchSession(getter.disk, search) as session:
        delivery = Delivery(file.accept, progress=lambda done: told.append(session.given()))
        await session.fetch(FileWalk(root), delivery, timeout_s=timeout_s)
    assert bytes(file.data) == CONTENT
    return session, told


async def behind_a_door(world: World, times: float) -> tuple[Door, Cid, Peer]:
    holder, getter = await world.peer("holder"), await world.peer("getter")
    return Door(holder, times), holder.hold(CONTENT), getter


def test_who_is_busy_at_the_door_is_dialled_again_after_longer_and_longer_pauses() -> None:
    async def scene(world: World) -> None:
        door, root, getter = await behind_a_door(world, 4)
        session, told = await looked_for(getter, root, EndsEarly(named([door.peer])))
        pauses = [round(b - a) for a, b in zip(door.asked_s, door.asked_s[1:], strict=False)]
        assert pauses == [1, 2, 4, 8]
        [holder] = session.report().holders
        assert (holder.busy, holder.cause, session.unreached) == (4, None, {})
        assert told[0][0].busy
        assert not told[-1][0].busy

    play(scene)


def test_a_deadline_says_who_was_busy_at_the_door() -> None:
    async def scene(world: World) -> None:
        door, root, getter = await behind_a_door(world, float("inf"))
        with pytest.raises(TimedOut, match=r"waiting until node .* has time") as late:
            await looked_for(getter, root, EndsEarly(named([door.peer])), 20)
        assert len(door.asked_s) == 5
        assert "too many connections" in str(late.value.causes)

    play(scene)


def test_who_is_busy_at_the_door_for_ever_has_refused() -> None:
    async def scene(world: World) -> None:
        door, root, getter = await behind_a_door(world, float("inf"))
        with pytest.raises(Unreachable, match="1 refused") as refused:
            await looked_for(getter, root, EndsEarly(named([door.peer])))
        assert BUSY_WAIT_MAX_S <= world.loop.time() < 2 * BUSY_WAIT_MAX_S
        report = vars(refused.value)["report"]
        assert (report.cause, report.holders[0].cause.code) == (CauseKind.REFUSED, "busy")

    play(scene)


def test_a_crowd_at_whose_doors_one_waits_hides_nobody() -> None:
    async def scene(world: World) -> None:
        crowd = [await world.peer(f"crowd {number}") for number in range(12)]
        doors = [Door(each, float("inf")) for each in crowd]
        honest, getter = await world.peer("honest"), await world.peer("getter")
        root = honest.hold(CONTENT)
        await looked_for(getter, root, EndsEarly(named([*crowd, honest])))
        assert world.loop.time() < 5
        assert sum(len(door.asked_s) for door in doors) < 5 * len(doors)

    play(scene)


def test_an_address_that_leads_nowhere_does_not_hide_that_another_was_busy() -> None:
    async def scene(world: World) -> None:
        door, root, getter = await behind_a_door(world, 1)
        both = provider(door.peer, contact_at(door.peer, door.peer.address))
        lookups = ScriptedLookups([both], heard={node_id(door.peer.key): NOWHERE})
        session, _ = await looked_for(getter, root, lookups)
        assert session.report().holders[0].busy == 1
        assert world.loop.time() < 30

    play(scene)
