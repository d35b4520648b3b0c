"""Placing a unit on holders that do as they are told: what is asked of whom, and what of it is
believed, reported and given back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace as change

from dhtstore.content.dag.units import Lineage
from dhtstore.dht.core.record_rules import Published
from dhtstore.model.identity import NodeId, distance
from dhtstore.model.policy import Claim
from dhtstore.model.receipt import Receipt
from dhtstore.model.signing import unpack
from dhtstore.model.unit import Unit
from dhtstore.node.copies.acknowledge import SignedCopy
from dhtstore.node.copies.hold import Holder
from dhtstore.node.copies.own_copy import own_claim
from dhtstore.node.copies.place import Placer
from dhtstore.node.links.link import Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.params import MIB, RELEASE_TIMEOUT_S
from dhtstore.replication.placement import Placement, nth_key
from dhtstore.wire.frames import Held, Replicate
from tests.unit.node.copies_world import (
    Directory,
    ScriptedHolder,
    add_holder,
    contact_of,
    only_unit,
    placer_of,
    policy_of,
)
from tests.unit.node.data_plane import Peer, World, play

CONTENT = b"x" * (MIB + 1)


@dataclass(slots=True)
class Cast:
    """An uploader with a unit, and holders: the nearest to the unit's key first."""

    uploader: Peer
    unit: Unit
    claim: Claim
    directory: Directory
    placer: Placer
    holders: list[ScriptedHolder]
    log: list[str]
    told: dict[NodeId, int] = field(default_factory=dict)
    steps: list[int] = field(default_factory=list)

    def progress(self, node: NodeId, copied_bytes: int, sent_bytes: int) -> None:
        self.told[node] = copied_bytes
        self.steps.append(copied_bytes)

    async def place(self, wanted: int) -> tuple[Placement, list[SignedCopy]]:
        plan = Placement(self.unit.key, wanted, self.placer.identity.node)
        copies: list[SignedCopy] = []
        lineage = Lineage(self.unit, ())
        placing = self.placer.place(plan, lineage, self.claim, self.progress, copies)
        return await placing, copies

    def stages(self, plan: Placement) -> list[str]:
        """Of each holder, "" for one that was not found."""
        found = [plan.candidates.get(holder.identity.node) for holder in self.holders]
        return [each.stage if each else "" for each in found]

    def peer(self, holder: ScriptedHolder) -> Peer:
        """The machine that it runs on."""
        peers = self.uploader.world.peers
        return next(peer for peer in peers if peer.key == holder.identity.public_key)

    def used_bytes(self) -> list[int]:
        return [holder.disk.store.used_bytes for holder in self.holders]


Scene = Callable[[Cast], Awaitable[None]]


def stage(scene: Scene, holders: int = 3) -> None:
    async def whole(world: World) -> None:
        uploader = await world.peer("uploader")
        root = uploader.hold(CONTENT)
        unit, log = only_unit(uploader, root), list[str]()
        cast = [await add_holder(world, f"holder {number}", log) for number in range(holders)]
        cast.sort(key=lambda holder: distance(holder.identity.node, unit.key))
        for number, holder in enumerate(cast):
            holder.name = f"{number}"
        peers = {peer.key: contact_of(peer) for peer in world.peers}
        directory = Directory([[peers[holder.identity.public_key] for holder in cast]])
        placer = placer_of(uploader, directory)
        claim = await own_claim(uploader.disk, unit, policy_of(uploader, root))
        await scene(Cast(uploader, unit, claim, directory, placer, cast, log))

    play(whole)


def test_the_nearest_reserve_all_of_them_before_any_copies() -> None:
    async def scene(cast: Cast) -> None:
        cast.holders[0].thinks_s = 3.0
        plan, copies = await cast.place(2)
        assert cast.log == ["0 is offered", "1 is offered", "1 copies", "0 copies"]
        assert cast.stages(plan) == ["held", "held", "found"]
        holders = {copy.receipt.public_key for copy in copies}
        assert holders == {holder.identity.public_key for holder in cast.holders[:2]}
        assert plan.missing == 0
        assert set(cast.told.values()) == {len(CONTENT)}
        assert cast.directory.looked == [cast.unit.key]

    stage(scene)


def test_one_that_refuses_is_replaced_and_its_reason_kept() -> None:
    async def scene(cast: Cast) -> None:
        cast.holders[0].refuses = "no room for you"
        plan, copies = await cast.place(2)
        assert cast.log == ["0 is offered", "1 is offered", "2 is offered", "1 copies", "2 copies"]
        assert cast.stages(plan) == ["refused", "held", "held"]
        assert plan.candidates[cast.holders[0].identity.node].why == "no room for you"
        assert len(copies) == 2

    stage(scene)


def test_those_that_take_their_time_to_refuse_do_not_outlast_what_others_reserved() -> None:
    async def scene(cast: Cast) -> None:
        for holder in cast.holders[2:5]:
            holder.thinks_s, holder.refuses = 29.0, "no"
        plan, copies = await cast.place(3)
        assert cast.stages(plan) == ["held", "held", "unreached", "unreached", "unreached", "held"]
        assert len(copies) == 3

    stage(scene, holders=6)


def test_one_that_cannot_be_reached_is_never_offered_anything() -> None:
    async def scene(cast: Cast) -> None:
        await cast.peer(cast.holders[0]).links.close()
        plan, copies = await cast.place(2)
        assert "0 is offered" not in cast.log
        assert cast.stages(plan) == ["unreached", "held", "held"]
        assert len(copies) == 2

    stage(scene)


def test_one_that_fails_after_it_reserved_is_replaced() -> None:
    async def scene(cast: Cast) -> None:
        cast.holders[1].fails = "the disk is broken"
        plan, copies = await cast.place(2)
        assert cast.log[-2:] == ["2 is offered", "2 copies"]
        assert cast.stages(plan) == ["held", "failed", "held"]
        assert plan.candidates[cast.holders[1].identity.node].why == "the disk is broken"
        assert len(copies) == 2

    stage(scene)


class Liar(ScriptedHolder):
    """Signs for another root than it was asked to hold."""

    async def on_replicate(self, link: Link, message: Replicate, reply: Reply) -> None:
        async def lie(response: Held) -> None:
            receipt = unpack(Receipt, response.receipt)
            wrong = self.identity.sign(change(receipt, root=b"another root"))
            await reply(change(response, receipt=wrong.packed))

        await Holder.on_replicate(self, link, message, lie)  # type: ignore[arg-type]


def test_a_receipt_for_something_else_is_not_believed() -> None:
    async def scene(cast: Cast) -> None:
        honest = cast.holders[0]
        fields = (honest.identity, honest.disk, honest.ledger, honest.clock, honest.tracer)
        cast.peer(honest).handlers.update(Liar(*fields, honest.rule).handlers())
        plan, copies = await cast.place(1)
        assert cast.stages(plan)[:2] == ["failed", "held"]
        assert "receipt for something else" in plan.candidates[honest.identity.node].why
        assert [copy.receipt.root for copy in copies] == [cast.claim.policy.root]

    stage(scene)


def test_when_a_neighbourhood_is_used_up_the_next_is_looked_up() -> None:
    async def scene(cast: Cast) -> None:
        [near] = cast.directory.near
        cast.directory.near = [near[:1], [], near]
        plan, copies = await cast.place(3)
        assert len(copies) == 3
        assert cast.directory.looked == [nth_key(cast.unit.key, number) for number in range(3)]
        assert cast.log == [
            "0 is offered",
            "0 copies",
            "1 is offered",
            "2 is offered",
            "1 copies",
            "2 copies",
        ]
        assert cast.stages(plan) == ["held", "held", "held"]

    stage(scene)


@pytest.mark.parametrize("after_s", [0.05, 0.5, 1.5])
def test_cancelled_it_gives_back_what_was_reserved_and_what_is_reserved_later(
    after_s: float,
) -> None:
    async def scene(cast: Cast) -> None:
        cast.holders[0].thinks_s = 1.0
        cast.holders[1].thinks_s = 2.0
        placing = cast.uploader.supervisor.spawn(cast.place(2), "placing")
        await asyncio.sleep(after_s)
        placing.cancel()
        await asyncio.sleep(RELEASE_TIMEOUT_S)
        assert placing.cancelled()
        assert cast.used_bytes() == [0, 0, 0]
        assert not any("copies" in line for line in cast.log)
        released = sorted(line for line in cast.log if "releases" in line)
        assert released == (["0 releases", "1 releases"] if after_s > 0.1 else [])

    stage(scene)


def test_records_of_all_copies_are_published_together() -> None:
    async def scene(cast: Cast) -> None:
        _, copies = await cast.place(2)
        published = await cast.placer.publish(cast.unit, copies)
        assert published == [Published(1, {})] * 2
        records = cast.directory.provided
        assert {record.signer for record, _ in records} == {
            holder.identity.public_key for holder in cast.holders[:2]
        }
        assert {record.key for record, _ in records} == {cast.unit.key}
        assert all(record.signer == contact.signer for record, contact in records)

    stage(scene)


def test_how_far_a_holder_is_never_falls_nor_passes_the_size_of_the_unit() -> None:
    async def scene(cast: Cast) -> None:
        cast.holders[0].tells_bytes = (1000, 2**63 - 1, 0)
        plan, copies = await cast.place(1)
        assert len(copies) == 1
        assert cast.steps == [1000] + 3 * [len(CONTENT)]
        assert plan.candidates[cast.holders[0].identity.node].copied_bytes == len(CONTENT)

    stage(scene)


def test_a_defect_gives_back_what_was_reserved() -> None:
    async def scene(cast: Cast) -> None:
        def broken(node: NodeId, copied_bytes: int, sent_bytes: int) -> None:
            raise RuntimeError("a defect")

        cast.holders[0].works_s = 9.0
        plan = Placement(cast.unit.key, 2, cast.placer.identity.node)
        copies: list[SignedCopy] = []
        with pytest.raises(RuntimeError, match="a defect"):
            await cast.placer.place(plan, Lineage(cast.unit, ()), cast.claim, broken, copies)
        await asyncio.sleep(RELEASE_TIMEOUT_S)
        assert len(copies) == 1
        assert "0 releases" in cast.log
        assert cast.holders[0].disk.store.used_bytes == 0

    stage(scene)
