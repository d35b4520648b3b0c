"""What is being received is shown to those that its uploader named, and to nobody else; and an
uploader leads a holder nowhere it should not go."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace as change

from dhtstore.content.builders.importer import FileBuilder
from dhtstore.errors import Unreachable
from dhtstore.model.cid import Cid
from dhtstore.model.contact import ContactRecord
from dhtstore.model.identity import DhtKey
from dhtstore.model.signing import attach, unpack
from dhtstore.node.copies.relaying.window import RelayMemory, RelayWindow
from dhtstore.node.links.link import Arrival, Link
from dhtstore.node.node import Node
from dhtstore.params import (
    MIB,
    RELAY_DIALS_AT_ONCE_PER_ORIGIN,
    RELAY_HOLD_S,
    REROUTES_MAX,
)
from dhtstore.wire.frames import Accepted, FrameResponse, Held, Reroute, Rerouted
from tests.bids import Bid, bids_of, declined
from tests.simulation.harness import Lab, address_of, tell

CONTENT = random.Random(8).randbytes(6 * MIB)
SLOW = 100_000  # bytes a second, of who uploads
TRICKLE = 40_000  # so that a block comes just before nothing has come for RELAY_HOLD_S


class Stage:
    """An uploader that sends slowly, a holder that receives, and somebody who wants to see it."""

    def __init__(self, lab: Lab, uploader: Node, holder: Node, other: Node, bid: Bid) -> None:
        self.lab, self.uploader, self.holder = lab, uploader, holder
        self.other, self.bid, self.reservation = other, bid, 0

    async def link(self, node: Node) -> Link:
        """Of ``node`` to the holder."""
        return await node.links.to(self.holder.public_key, [address_of(self.holder)], 5.0)

    async def begin(self, **fields: object) -> asyncio.Task[Held]:
        """The receive has begun; some of it has come when this returns."""
        link = await self.link(self.uploader)
        accepted = await link.request(self.bid.offer(link), Accepted)
        self.reservation = accepted.reservation
        link.granted += 1
        said = change(self.bid.replicate(accepted.reservation), **fields)
        receiving = asyncio.ensure_future(link.request(said, Held, 600.0))
        await asyncio.sleep(15)
        return receiving

    async def seen(
        self, node: Node, key: bytes | None = None, leaf: int = 0, patience_s: float = 60.0
    ) -> int:
        """How many blocks of the unit ``node`` is shown, who asks for that one."""
        link, got = await self.link(node), list[int]()
        leaves = [Cid.of(CONTENT[at : at + MIB]) for at in range(0, len(CONTENT), MIB)]

        def count(arrival: Arrival) -> None:
            got.extend(index for index, _ in arrival.blocks)

        def room(response: FrameResponse) -> Callable[[], None]:
            return lambda: None

        coming = self.bid.unit.key if key is None else key
        await link.get_blocks([leaves[leaf]], count, room, patience_s, DhtKey(coming))
        return len(got)


def play(scene: Callable[[Stage], Awaitable[None]]) -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(3)
        uploader, holder, other = lab.nodes
        builder, store = FileBuilder(), uploader.ports.store
        with store.batch() as batch:
            for at in range(0, len(CONTENT), MIB):
                chunk = CONTENT[at : at + MIB]
                batch.put(Cid.of(chunk), chunk)
                for block in builder.add_leaf(Cid.of(chunk), len(chunk)):
                    batch.put(block.cid, block.data)
            root = builder.finish()
            for block in root.blocks:
                batch.put(block.cid, block.data)
            batch.commit()
        [bid] = bids_of(uploader.identity, store, root.cid)
        lab.network.machine(address_of(uploader)).up_bytes_per_s = SLOW
        await scene(Stage(lab, uploader, holder, other, bid))

    tell(story)


@pytest.mark.parametrize("named", [True, False])
def test_blocks_that_are_coming_are_shown_to_who_was_named(named: bool) -> None:
    async def scene(stage: Stage) -> None:
        keys = (stage.other.public_key,) if named else (b"k" * 32,)
        receiving = await stage.begin(downstream=keys)
        assert await stage.seen(stage.other) == named
        assert not stage.holder.ports.store.has(Cid.of(CONTENT[:MIB]))
        await receiving

    play(scene)


def test_who_waits_for_what_trickles_in_gets_an_answer_in_time() -> None:
    """Each block that came, whichever it was, bought the whole wait anew: for as long as somebody
    trickled, a request for what it sends last held a place and stood before those behind it."""

    async def scene(stage: Stage) -> None:
        loop = asyncio.get_running_loop()
        receiving = await stage.begin(downstream=(stage.other.public_key,))
        machine = stage.lab.network.machine(address_of(stage.uploader))
        machine.up_bytes_per_s = TRICKLE
        begun_s = loop.time()
        assert await stage.seen(stage.other, leaf=-1, patience_s=600.0) == 0
        assert loop.time() - begun_s < RELAY_HOLD_S + 5
        assert not receiving.done()
        machine.up_bytes_per_s = None
        await receiving

    play(scene)


def test_who_was_named_for_one_unit_sees_nothing_by_the_key_of_another() -> None:
    async def scene(stage: Stage) -> None:
        receiving = await stage.begin(downstream=(stage.other.public_key,))
        assert await stage.seen(stage.other, b"another unit's key 0") == 0
        await receiving

    play(scene)


def test_only_the_uploader_of_a_receive_says_who_may_see_it() -> None:
    async def scene(stage: Stage) -> None:
        receiving = await stage.begin()
        wanted = Reroute(reservation=stage.reservation, downstream=(stage.other.public_key,))
        assert await declined(await stage.link(stage.other), wanted) == "reservation"
        assert await stage.seen(stage.other) == 0
        link = await stage.link(stage.uploader)
        await link.request(wanted, Rerouted)
        assert await stage.seen(stage.other) == 1  # read again from where it is staged
        again = [link.request(wanted, Rerouted) for _ in range(REROUTES_MAX - 1)]
        await asyncio.gather(*again)
        assert await declined(link, wanted) == "busy"
        await receiving

    play(scene)


def test_a_record_that_its_node_did_not_sign_leads_nowhere() -> None:
    async def scene(stage: Stage) -> None:
        record = stage.other.identity.record()
        elsewhere = (("10.9.9.9", 7400),)
        forged = change(unpack(ContactRecord, record.packed), addresses=elsewhere)
        link = await stage.link(stage.uploader)
        accepted = await link.request(stage.bid.offer(link), Accepted)
        packed = attach(forged, record.signature).packed
        said = change(stage.bid.replicate(accepted.reservation), upstream=(packed,))
        assert await declined(link, said) == "invalid-signature"

    play(scene)


def test_an_uploader_leads_a_holder_to_so_many_others_and_to_itself_never() -> None:
    async def scene(stage: Stage) -> None:
        meets, origin = stage.holder.holder.relays.meets, "10.1.1.0/24"
        with pytest.raises(Unreachable, match="nobody is to be met"):
            await meets(stage.holder.identity.record(), origin)
        record = stage.other.identity.record()
        for _ in range(int(RELAY_DIALS_AT_ONCE_PER_ORIGIN)):
            await meets(record, origin)
        with pytest.raises(Unreachable, match="too many"):
            await meets(record, origin)
        await meets(record, "10.1.2.0/24")

    play(scene)


def test_who_takes_nothing_costs_others_no_memory() -> None:
    memory = RelayMemory(4 * MIB)
    slow, fast = memory.window(), memory.window()
    blocks = [random.Random(number).randbytes(MIB) for number in range(6)]
    slow.keep([(Cid.of(block), block) for block in blocks[:5]])
    assert memory.held_bytes == 4 * MIB
    assert slow.give(Cid.of(blocks[4])) is None, "what came last is read again when it is wanted"
    fast.keep([(Cid.of(blocks[5]), blocks[5])])
    assert _given(fast, blocks[5]) == blocks[5]
    assert slow.give(Cid.of(blocks[3])) is None, "it gave way"
    given = slow.give(Cid.of(blocks[0]))
    slow.close()
    slow.keep([(Cid.of(blocks[0]), blocks[0])])
    assert memory.held_bytes == 0
    fast.keep([(Cid.of(block), block) for block in blocks[:3]])
    assert bytes(given.view if given else b"") == blocks[0], "what is being sent stays what it is"


def _given(window: RelayWindow, block: bytes) -> bytes:
    lease = window.give(Cid.of(block))
    return b"" if lease is None else bytes(lease.view)
