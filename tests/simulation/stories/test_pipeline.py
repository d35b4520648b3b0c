"""A put by pipeline: the uploader sends each byte about once, whatever becomes of the holders."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from dhtstore.model.identity import PublicKey
from dhtstore.node.copies.relaying.relays import Relay, Relays
from dhtstore.node.copies.relaying.upstream import nobody
from dhtstore.node.copies.relaying.window import RelayMemory, RelayWindow
from dhtstore.node.links.buffers import Lease
from dhtstore.node.node import Node
from dhtstore.node.put_outcome import PutOutcome
from dhtstore.operations.operation import Progress
from dhtstore.params import MIB, REQUEST_TIMEOUT_S
from tests.simulation.harness import CLIENT, Lab, address_of, check_receipts, tell

SIZE_BYTES = 12 * MIB
CONTENT = random.Random(5).randbytes(SIZE_BYTES)
UPLINK = 1 * MIB  # a second, of who puts
LINE = 8 * MIB  # a second, of holders
AROUND_S = 4.0  # lookups, offers, records
KILLS = int(os.environ.get("DHTSTORE_TEST_PIPELINE_KILLS", "6"))


@dataclass(slots=True)
class Scene:
    """A client behind a slow uplink, and five holders on faster lines."""

    lab: Lab
    client: Node
    holders: list[Node]

    async def put(self, *, pipeline: bool = True, content: bytes = CONTENT) -> PutOutcome:
        async def once() -> AsyncIterator[bytes]:
            yield content

        return await self.client.uploader(pipeline=pipeline).put(
            once(), name="b", replicas=3, min_acks=3, progress=lambda progress: None
        )

    def sent(self, node: Node) -> float:
        """How often it has sent the content."""
        return self.sent_bytes(node) / SIZE_BYTES

    def sent_bytes(self, node: Node) -> int:
        return self.lab.network.machine(address_of(node)).sent_bytes

    async def timed(self, putting: Awaitable[PutOutcome]) -> tuple[PutOutcome, float]:
        begun_s = self.lab.loop.time()
        outcome = await putting
        return outcome, self.lab.loop.time() - begun_s

    def chain(self) -> list[Node]:
        """Those that receive by now, in the order in which they give to each other."""
        receiving = {node.public_key: relay for node in self.holders for relay in relays_of(node)}
        before = {key: upstream_of(relay) for key, relay in receiving.items()}
        order: list[PublicKey] = [key for key, up in before.items() if up is None]
        while len(order) < len(before):
            order.append(next(key for key, up in before.items() if up == order[-1]))
        nodes = {node.public_key: node for node in self.holders}
        return [nodes[key] for key in order]


def relays_of(node: Node) -> list[Relay]:
    return list(node.holder.relays._running)


def upstream_of(relay: Relay) -> PublicKey | None:
    before = relay.upstream.before
    return before[0].public_key if before else None


def play(story: Callable[[Scene], Awaitable[None]], *, seed: int = 1) -> None:
    async def whole(lab: Lab) -> None:
        await lab.grow(5)
        client = await lab.add(CLIENT)
        scene = Scene(lab, client, lab.nodes[:5])
        for node in scene.holders:
            lab.network.machine(address_of(node)).up_bytes_per_s = LINE
        lab.network.machine(address_of(client)).up_bytes_per_s = UPLINK
        await story(scene)

    tell(whole, seed=seed)


def test_each_byte_is_sent_once_and_the_copies_take_the_time_of_one() -> None:
    async def story(scene: Scene) -> None:
        outcome, took_s = await scene.timed(scene.put())
        check_receipts(scene.lab, outcome, copies=3)
        assert scene.sent(scene.client) < 1.02
        assert sorted(round(scene.sent(node), 1) for node in scene.holders) == [0, 0, 0, 1, 1]
        assert took_s < SIZE_BYTES / UPLINK + AROUND_S
        before = scene.sent(scene.client)
        other = random.Random(6).randbytes(SIZE_BYTES)
        outcome, direct_s = await scene.timed(scene.put(pipeline=False, content=other))
        check_receipts(scene.lab, outcome, copies=3)
        assert 3.0 < scene.sent(scene.client) - before < 3.1
        assert took_s < 0.5 * direct_s

    play(story)


@pytest.mark.parametrize("silent", [True, False], ids=["silent", "closed"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_that_is_killed_in_the_middle_is_replaced_and_nobody_begins_again(
    place: int, silent: bool
) -> None:
    """The others lose no more than they had under way; who takes its place gets its copy from one
    of them."""

    async def once(scene: Scene) -> None:
        putting = asyncio.ensure_future(scene.timed(scene.put()))
        await asyncio.sleep(2.5 + scene.lab.rng.uniform(0, 9))
        [*chain] = scene.chain()
        scene.lab.crash(chain[place], silent=silent)
        scene.holders.remove(chain[place])
        outcome, took_s = await putting
        check_receipts(scene.lab, outcome, copies=3)
        others = [node for node in chain if node is not chain[place]]
        signed = {receipt.public_key for receipt in outcome.receipts}
        assert {node.public_key for node in others} < signed
        lost = 2.3 if place == 0 else 1.3  # the first may have had all that was sent
        assert scene.sent(scene.client) < lost
        assert took_s < 2 * SIZE_BYTES / UPLINK + AROUND_S + silent * 2 * REQUEST_TIMEOUT_S

    for seed in range(max(1, KILLS // 6)):
        play(once, seed=10 * seed + place)


def test_who_gives_wrong_bytes_costs_those_behind_it_a_block_and_they_go_on() -> None:
    """What it gave wrong is verified before it is kept, and it is asked for nothing more."""

    async def story(scene: Scene) -> None:
        for node in scene.holders:
            node.holder.relays.memory = LyingMemory()
        outcome, took_s = await scene.timed(scene.put())
        check_receipts(scene.lab, outcome, copies=3)
        assert took_s < 3 * SIZE_BYTES / UPLINK + AROUND_S
        assert scene.sent(scene.client) > 2.5, "or nobody lied"

    play(story)


def test_who_gives_nothing_of_what_it_has_is_passed_over() -> None:
    async def story(scene: Scene) -> None:
        for node in scene.holders:
            node.holder.relays.serving = Hanging().serving  # type: ignore[method-assign]
        outcome, took_s = await scene.timed(scene.put())
        check_receipts(scene.lab, outcome, copies=3)
        assert took_s < 3 * SIZE_BYTES / UPLINK + 3 * REQUEST_TIMEOUT_S

    play(story)


class LyingMemory(RelayMemory):
    """Gives other bytes than came."""

    def put(self, window: RelayWindow, multihash: bytes, lease: Lease) -> None:
        lease.view[:1] = bytes([lease.view[0] ^ 1])
        super().put(window, multihash, lease)


class Hanging:
    """Answers nobody."""

    async def serving(self, peer: PublicKey, key: bytes) -> Relay | None:
        await asyncio.Event().wait()
        return None


def test_who_stands_behind_a_slow_one_is_fed_directly_too() -> None:
    """Each gives a block in 2 s, where the uploader gives ten: the others do not wait for that."""

    async def story(scene: Scene) -> None:
        for node in scene.holders:
            scene.lab.network.machine(address_of(node)).up_bytes_per_s = None
            node.holder.relays.serving = Slow(node.holder.relays).serving  # type: ignore[method-assign]
        scene.lab.network.machine(address_of(scene.client)).up_bytes_per_s = 10 * UPLINK
        content = random.Random(7).randbytes(100 * MIB)
        outcome, took_s = await scene.timed(scene.put(content=content))
        check_receipts(scene.lab, outcome, copies=3)
        assert took_s < 60, "200 s where nobody looks"

    play(story)


class Slow:
    """Takes its time with each answer."""

    def __init__(self, relays: Relays) -> None:
        self._serving, self._turn = relays.serving, asyncio.Lock()

    async def serving(self, peer: PublicKey, key: bytes) -> Relay | None:
        async with self._turn:
            await asyncio.sleep(2)
        return await self._serving(peer, key)


def test_holders_that_cannot_dial_each_other_are_sent_it_directly_at_once() -> None:
    async def story(scene: Scene) -> None:
        for node in scene.holders:
            node.holder.relays.meets = nobody
        outcome, took_s = await scene.timed(scene.put())
        check_receipts(scene.lab, outcome, copies=3)
        assert 3.0 < scene.sent(scene.client) < 3.1
        assert took_s < 3 * SIZE_BYTES / UPLINK + AROUND_S

    play(story)


def test_what_one_of_them_has_is_sent_to_nobody() -> None:
    """A copy that is there is the first of the chain, and gives it to the others."""

    async def story(scene: Scene) -> None:
        async def once() -> AsyncIterator[bytes]:
            yield CONTENT

        first = await scene.client.uploader().put(
            once(), name="b", replicas=1, min_acks=1, progress=lambda progress: None
        )
        sent = scene.sent(scene.client)
        outcome, took_s = await scene.timed(scene.put())
        assert outcome.cid == first.cid
        check_receipts(scene.lab, outcome, copies=3)
        assert scene.sent(scene.client) - sent < 0.02
        assert took_s < SIZE_BYTES / LINE + 2 * AROUND_S

    play(story)


def test_progress_tells_what_came_now_from_what_was_there() -> None:
    async def story(scene: Scene) -> None:
        told: list[Progress] = []

        async def once() -> AsyncIterator[bytes]:
            yield CONTENT

        await scene.client.uploader().put(
            once(), name="b", replicas=3, min_acks=3, progress=told.append
        )
        last = [each for each in told if each.phase == "copying"][-1]
        assert last.done_bytes == 3 * SIZE_BYTES
        assert last.earlier_bytes < 0.01 * SIZE_BYTES

    play(story)
