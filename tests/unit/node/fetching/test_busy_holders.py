"""A holder that is busy is asked again, told as busy meanwhile, and others give what they have."""

from __future__ import annotations

import pytest

from dhtstore.content.dag.file_walk import FileWalk
from dhtstore.errors import PeerRefused, TimedOut, Unreachable
from dhtstore.model.cid import Cid
from dhtstore.node.fetching.delivery import Delivery
from dhtstore.node.fetching.search import FixedHolders
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.links.link import Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.operations.operation import HolderProgress
from dhtstore.params import BUSY_WAIT_MAX_S
from dhtstore.wire.frames import GetBlocks
from tests.unit.node.data_plane import Peer, World, play
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
