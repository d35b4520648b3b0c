"""Whole DHT services in virtual time, for the tests of this room."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from dhtstore.dht.service import DhtService
from dhtstore.model.contact import Address, Contact, ContactRecord
from dhtstore.model.identity import DhtKey, PublicKey
from dhtstore.model.network import Network
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.signing import sign
from dhtstore.tasks import Supervisor
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.network.endpoint import SimEndpoint
from simulations.world.network.latency import UniformLatency
from simulations.world.network.network import SimNetwork
from simulations.world.ports.clock import SimClock
from simulations.world.ports.crypto import SimCrypto
from simulations.world.ports.entropy import SimEntropy

T = TypeVar("T")
HOUR_S = 3600


class World:
    """Services on one simulated network, one machine each."""

    def __init__(self, seed: int = 1, loss: float = 0.0, network: str = "test") -> None:
        self.rng = random.Random(seed)
        self.loop: VirtualLoop = self.make_loop()
        self.net: SimNetwork = self.make_net(seed, loss)
        self.network, self.seed = Network(network), seed
        self.members: list[Member] = []
        self.events: list[tuple[str, dict[str, object]]] = []
        self.failed_duties: list[str] = []

    # --- what other worlds have otherwise ---------------------------------------------------

    def make_loop(self) -> Any:
        return VirtualLoop()

    def make_net(self, seed: int, loss: float) -> Any:
        latency = UniformLatency(seed, 0.02, 0.15)
        return SimNetwork(self.loop, self.rng, latency, loss=loss)

    def make_crypto(self, node_secret: bytes, owner_secret: bytes) -> Any:
        return SimCrypto(node_secret, owner_secret)

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """To its end, and close the loop; raises what nobody saw, too."""
        return run(main, self.loop)

    # --- members ----------------------------------------------------------------------------

    def add(
        self, *, network: str | None = None, ephemeral: bool = False, storage: bool = True
    ) -> Member:
        number = len(self.members) + 1
        member = Member(
            self, number, Network(network) if network else self.network, ephemeral, storage
        )
        self.members.append(member)
        return member

    async def grow(self, count: int) -> list[Member]:
        """Start that many more; each joins through one that is there already."""
        grown = [self.add() for _ in range(count)]
        for member in grown:
            await member.dht.start()
            first = self.members[0]
            if member is not first:
                assert await member.dht.bootstrap([first.contact]) == 1
        return grown

    def trace(self, event: str, **fields: object) -> None:
        assert event != "dht.defect", fields
        self.events.append((event, fields))

    def duty_failed(self, name: str, error: BaseException) -> None:
        self.failed_duties.append(f"{name}: {error!r}")


class Member:
    def __init__(
        self, world: World, number: int, network: Network, ephemeral: bool, storage: bool
    ) -> None:
        self.world, self.network = world, network
        self.crypto: SimCrypto = world.make_crypto(
            b"%d/%d" % (world.seed, number), b"owner%d" % number
        )
        self.clock, self.storage = SimClock(world.loop), storage
        where = Address(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 7400)
        self.endpoint: SimEndpoint = world.net.endpoint(where)
        self.sequence = 1
        self.duties = Supervisor(world.trace, world.duty_failed)
        self.dht = DhtService(
            network=network,
            crypto=self.crypto,
            clock=self.clock,
            entropy=SimEntropy(world.seed, f"node {number}"),
            endpoint=self.endpoint,
            tracer=world.trace,
            duties=self.duties,
            own=self,
            storage_node=storage,
            ephemeral=ephemeral,
        )

    @property
    def address(self) -> Address:
        return self.endpoint.local

    @property
    def contact(self) -> Contact:
        return Contact.of(self.public_key, self.address, storage=self.storage)

    @property
    def public_key(self) -> PublicKey:
        return self.crypto.node.public_key

    def record(self) -> ContactRecord:
        return self.contact_record()

    def outrun(self, sequence: int) -> bool:
        ahead = sequence > self.sequence
        self.sequence = max(self.sequence, sequence + 1)
        return ahead

    def contact_record(self, *, lifetime_s: int = HOUR_S) -> ContactRecord:
        issued = int(self.clock.unix_s())
        record = ContactRecord(
            self.crypto.node.public_key,
            ((self.address.host, self.address.port),),
            1,
            "",
            self.sequence,
            issued,
            issued + lifetime_s,
        )
        return sign(record, self.network, self.crypto.node)

    def provider_record(
        self, key: DhtKey, *, sequence: int = 0, lifetime_s: int = HOUR_S
    ) -> ProviderRecord:
        issued = int(self.clock.unix_s())
        public_key = self.crypto.node.public_key
        record = ProviderRecord(
            key, public_key, sequence or self.sequence, issued, issued + lifetime_s
        )
        return sign(record, self.network, self.crypto.node)

    def withdrawal(self, key: DhtKey) -> ProviderRecord:
        self.sequence += 1
        return self.provider_record(key, lifetime_s=0)

    async def provide(self, key: DhtKey, *, contact_s: int = HOUR_S, **changes: int) -> int:
        contact = self.contact_record(lifetime_s=contact_s)
        pair = (self.provider_record(key, **changes), contact)
        [published] = await self.dht.provide(key, [pair], timeout_s=15)
        return published.holders


def play(
    scene: Callable[[World], Awaitable[T]], kind: type[World] = World, **settings: object
) -> T:
    """Run a scene in virtual time; stops every service at the end.  A scene in which a duty is
    meant to fail clears ``failed_duties``."""
    world = kind(**settings)  # type: ignore[arg-type]

    async def main() -> T:
        try:
            return await scene(world)
        finally:
            for member in world.members:
                await member.duties.close()
                await member.dht.stop()

    result = world.run(main())
    assert world.failed_duties == []
    return result
