"""With one honest holder a fetch completes, whatever the others do."""

from __future__ import annotations

import asyncio
import random

import pytest

from dhtstore.content.dag.file_walk import FileWalk
from dhtstore.content.dag.walk import Output, Piece
from dhtstore.errors import PeerRefused
from dhtstore.model.unit import Unit
from dhtstore.node.fetching.delivery import Delivery
from dhtstore.node.fetching.search import Finds
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.links.link import Handler, Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.params import MIB
from dhtstore.transfer.in_order import InOrder
from dhtstore.wire.frames import Blocks, GetBlocks
from tests.unit.node.data_plane import Peer, World, play

CONTENT = random.Random(3).randbytes(4 * MIB + 99)


def misbehaving(rng: random.Random) -> Handler:
    """A holder that, request by request, lies, stalls, refuses, claims to lack or hangs up."""

    async def serve(link: Link, request: GetBlocks, reply: Reply) -> None:
        count = len(request.cids)
        match rng.randrange(5):
            case 0:
                await reply(Blocks(indices=tuple(range(count)), sizes=(3,) * count), b"lie" * count)
            case 1:
                await asyncio.sleep(rng.uniform(0, 60))
            case 2:
                raise PeerRefused("busy", "not now")
            case 3:
                await reply(Blocks(indices=(), sizes=(), missing=tuple(range(count))))
            case _:
                link.abandon()

    return serve


class Everybody:
    """All holders, dialled anew at each search."""

    def __init__(self, getter: Peer, holders: list[Peer]) -> None:
        self._getter, self._holders = getter, holders

    async def search(self, unit: Unit, finds: Finds) -> None:
        links = self._getter.links
        for holder in self._holders:
            finds.connected(await links.to(holder.key, [holder.address], 5.0))


@pytest.mark.parametrize("seed", range(25))
def test_a_fetch_with_one_honest_holder_completes(seed: int) -> None:
    rng = random.Random(seed)
    out = bytearray(len(CONTENT))

    async def sink(outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Piece):
                out[output.offset : output.offset + len(output.data)] = output.data

    async def scene(world: World) -> None:
        getter, honest = await world.peer("getter"), await world.peer("honest")
        others = [
            await world.peer(f"bad{number}", {GetBlocks: misbehaving(rng)})
            for number in range(rng.randint(1, 4))
        ]
        holders = [honest, *others]
        rng.shuffle(holders)
        walk = FileWalk(honest.hold(CONTENT))
        delivery = Delivery(sink, in_order=InOrder() if rng.random() < 0.5 else None)
        async with FetchSession(getter.disk, Everybody(getter, holders)) as session:
            await session.fetch(walk, delivery, timeout_s=120.0)

    play(scene)
    assert out == CONTENT
