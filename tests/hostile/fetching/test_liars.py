"""Twenty holders that lie, with bytes of the right length, beside an honest one that comes late."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest

from dhtstore.content.dag.file_walk import FileWalk
from dhtstore.errors import IntegrityFailure
from dhtstore.model.cid import Cid
from dhtstore.node.fetching.delivery import Delivery
from dhtstore.node.fetching.dht_search import DhtSearch
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.fetching.window import FetchRoom
from dhtstore.node.links.link import Link
from dhtstore.operations.explaining.causes import CauseKind
from dhtstore.operations.explaining.report import FetchReport
from dhtstore.params import CHUNK_SIZE_BYTES, FETCH_MEMORY_BYTES, MIB
from dhtstore.wire.frames import Blocks, GetBlocks
from tests.unit.node.data_plane import Peer, World, play
from tests.unit.node.fetching.test_dht_search import ScriptedLookups
from tests.unit.node.fetching.test_false_holders import EndsEarly, named
from tests.unit.node.test_fetch import File

LIARS = 20
CONTENT = random.Random(7).randbytes(10 * CHUNK_SIZE_BYTES)


class Liar:
    """Gives each block with a bit of it turned; ``true_first`` so many of them right, to be asked
    for more; and takes ``pause_s`` for each request."""

    def __init__(self, *, true_first: int = 0, pause_s: float = 0.0) -> None:
        self.true_left, self.pause_s = true_first, pause_s
        self.sent_bytes = 0
        self.peer: Peer | None = None

    async def on_get(self, link: Link, request: GetBlocks, reply: Any) -> None:
        assert self.peer is not None
        await asyncio.sleep(self.pause_s)
        for index, raw in enumerate(request.cids):
            data = bytearray(self.peer.store.get(Cid.decode(raw)))
            if self.true_left > 0 and len(data) == CHUNK_SIZE_BYTES:
                self.true_left -= 1
            else:
                data[-1] ^= 1
            self.sent_bytes += len(data)
            await reply(Blocks(indices=(index,), sizes=(len(data),)), bytes(data))


async def liars(world: World, **habits: Any) -> list[Liar]:
    found = []
    for number in range(LIARS):
        liar = Liar(**habits)
        liar.peer = await world.peer(f"liar {number}", {GetBlocks: liar.on_get})
        liar.peer.hold(CONTENT)
        found.append(liar)
    return found


async def got(own: Peer, lookups: ScriptedLookups, root: Cid) -> tuple[bytes, FetchReport]:
    file = File()
    async with FetchSession(own.disk, DhtSearch(lookups, own.links, own.key)) as session:
        await session.fetch(FileWalk(root), Delivery(file.accept))
        return bytes(file.data), session.report()


def peers_of(found: Sequence[Liar]) -> list[Peer]:
    return [liar.peer for liar in found if liar.peer is not None]


class Most:
    """How much memory blocks that are on their way took at most."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.taken_bytes = 0
        take = FetchRoom.take

        def counted(room: FetchRoom, size_bytes: int, *, alone: bool = False) -> Any:
            granted = take(room, size_bytes, alone=alone)
            self.taken_bytes = max(self.taken_bytes, room.memory_bytes - room.free_bytes)
            return granted

        patch.setattr(FetchRoom, "take", counted)


@pytest.mark.parametrize(("pause_s", "true_first"), [(0.0, 2), (3.0, 0)])
def test_one_that_is_honest_behind_twenty_that_lie_gives_all(
    monkeypatch: pytest.MonkeyPatch, pause_s: float, true_first: int
) -> None:
    async def scene(world: World) -> None:
        most = Most(monkeypatch)
        own, honest = await world.peer("own"), await world.peer("honest")
        found = await liars(world, true_first=true_first, pause_s=pause_s)
        root = honest.hold(CONTENT)
        lookups = EndsEarly(named([*peers_of(found), honest]))
        data, report = await got(own, lookups, root)
        assert data == CONTENT
        assert world.loop.time() < 30 + 4 * pause_s
        assert most.taken_bytes <= FETCH_MEMORY_BYTES
        lied = [each for each in report.holders if each.cause]
        assert {each.cause.kind for each in lied if each.cause} <= {CauseKind.WRONG_BYTES}
        # what it is asked for at once, before the first of it has been hashed
        assert max(liar.sent_bytes for liar in found) <= (8 + true_first) * MIB
        assert len(lookups.wanted) < 10

    play(scene)


def test_one_that_is_announced_while_the_last_liar_is_at_work_is_found() -> None:
    async def scene(world: World) -> None:
        own, honest = await world.peer("own"), await world.peer("honest")
        found = await liars(world, pause_s=20.0)
        root = honest.hold(CONTENT)
        lookups = EndsEarly(named(peers_of(found)))
        getting = asyncio.ensure_future(got(own, lookups, root))
        await asyncio.sleep(15.0)
        lookups.named.append(named([honest])[0])
        data, _ = await getting
        assert data == CONTENT
        assert world.loop.time() < 90

    play(scene)


def test_where_all_lie_the_verdict_says_so_of_each() -> None:
    async def scene(world: World) -> None:
        own = await world.peer("own")
        found = await liars(world)
        root = peers_of(found)[0].hold(CONTENT)
        with pytest.raises(IntegrityFailure, match="20 sent wrong bytes") as failed:
            await got(own, EndsEarly(named(peers_of(found))), root)
        report: FetchReport = vars(failed.value)["report"]
        assert report.cause is CauseKind.WRONG_BYTES
        assert world.loop.time() < 30

    play(scene)
