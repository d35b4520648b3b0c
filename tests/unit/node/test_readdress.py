"""Where a node can be reached is told anew as soon as it changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from dhtstore.errors import Unreachable
from dhtstore.model.contact import Address
from dhtstore.net.addresses import advertised
from dhtstore.node.duties.lasting import lasting
from dhtstore.node.duties.readdress import Readdress
from dhtstore.node.identity import Identity
from dhtstore.node.ports import NodeSettings
from dhtstore.node.warnings import Warnings
from dhtstore.params import DUTY_RETRY_FIRST_S
from dhtstore.tasks import Supervisor
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.ports.clock import SimClock
from simulations.world.ports.crypto import SimCrypto
from simulations.world.ports.interfaces import SimInterfaces

EVERYWHERE = Address("0.0.0.0", 7400)


@dataclass
class World:
    """What the duty did, in order, with the hosts of the record that was published."""

    loop: VirtualLoop = field(default_factory=VirtualLoop)
    interfaces: SimInterfaces = field(default_factory=lambda: SimInterfaces("10.0.0.1"))
    done: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    alone: bool = False

    def __post_init__(self) -> None:
        self.identity = Identity(
            SimCrypto(b"node", b"owner"),
            SimClock(self.loop),
            NodeSettings(),
            lambda: advertised(EVERYWHERE, self.interfaces.hosts()),
        )

    def readdressed(self) -> None:
        self.done.append("all is due")

    async def publish_contact(self, timeout_s: float) -> int:
        self.done.append(" ".join(each.host for each in self.identity.record().address_list()))
        if self.alone:
            raise Unreachable("nobody answered")
        return 1

    def trace(self, event: str, **fields: object) -> None:
        self.events.append(event)

    def play(self, scene: Callable[[], Awaitable[None]]) -> None:
        """While the duty runs."""

        async def main() -> None:
            duties, dht = Supervisor(), _Quiet(self)
            duty = Readdress(self.identity, dht, self, self.interfaces, self.trace)
            clock = SimClock(self.loop)
            running = lasting("readdress", duty.run, Warnings(self.trace), clock)
            duties.spawn_duty(running, "readdress")
            await asyncio.sleep(1)
            await scene()
            await asyncio.sleep(1)
            await duties.close()

        run(main(), self.loop)


@dataclass
class _Quiet:
    """The DHT of a world: that it is told too is seen by its own line."""

    world: World

    def readdressed(self) -> None:
        self.world.done.append("own addresses")

    async def publish_contact(self, timeout_s: float) -> int:
        return await self.world.publish_contact(timeout_s)


def test_a_new_lease_is_published_at_once_and_then_every_unit() -> None:
    world = World()

    async def scene() -> None:
        world.interfaces.become("10.0.0.9")

    world.play(scene)
    assert world.done == ["own addresses", "10.0.0.9", "all is due"]


def test_each_change_is_told() -> None:
    world = World()

    async def scene() -> None:
        world.interfaces.become("10.0.0.1", "192.168.1.1")
        await asyncio.sleep(1)
        world.interfaces.become("192.168.1.1")

    world.play(scene)
    assert world.done[1::3] == ["10.0.0.1 192.168.1.1", "192.168.1.1"]


def test_an_address_that_nobody_can_use_changes_nothing() -> None:
    world = World()

    async def scene() -> None:
        world.interfaces.become("10.0.0.1", "fe80::1", "127.0.0.2")

    world.play(scene)
    assert world.done == []


def test_a_network_that_does_not_answer_leaves_the_units_due() -> None:
    world = World(alone=True)

    async def scene() -> None:
        world.interfaces.become("10.0.0.9")

    world.play(scene)
    assert world.done[-1] == "all is due"
    assert world.events == ["addresses.changed", "readdress.failed"]


def test_a_system_that_does_not_tell_is_asked_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    wait = world.interfaces.changed
    refusals = [OSError("out of descriptors")]

    async def changed() -> None:
        if refusals:
            raise refusals.pop()
        await wait()

    monkeypatch.setattr(world.interfaces, "changed", changed)

    async def scene() -> None:
        assert world.events == ["readdress.failed"]
        await asyncio.sleep(DUTY_RETRY_FIRST_S)
        world.interfaces.become("10.0.0.9")

    world.play(scene)
    assert "10.0.0.9" in world.done
