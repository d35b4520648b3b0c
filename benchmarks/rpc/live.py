"""DHT services on ports of 127.0.0.1, with everything real around them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from dhtstore.dht.service import DhtService
from dhtstore.model.contact import Contact, ContactRecord
from dhtstore.model.identity import DhtKey, PublicKey
from dhtstore.model.network import Network
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.signing import sign
from dhtstore.net.clock import SystemClock, SystemEntropy
from dhtstore.net.crypto import Ed25519Crypto
from dhtstore.net.udp import UdpEndpoint
from dhtstore.tasks import Supervisor
from dhtstore.trace import no_trace

HOUR_S: Final = 3600
TIMEOUT_S: Final = 10.0


class LiveNode:
    """One service, with a key made of its ``number``."""

    def __init__(
        self, number: int, network: Network, socket: type[UdpEndpoint] = UdpEndpoint
    ) -> None:
        self.network, self.clock = network, SystemClock()
        self._record: ContactRecord | None = None
        self.failed: list[str] = []
        self.duties = Supervisor(on_failure=lambda name, error: self.failed.append(f"{error!r}"))
        self.crypto = Ed25519Crypto(bytes((number,)) * 32, bytes((number + 100,)) * 32)
        self.endpoint = socket("127.0.0.1", 0)
        self.dht = DhtService(
            network=network,
            crypto=self.crypto,
            clock=self.clock,
            entropy=SystemEntropy(),
            endpoint=self.endpoint,
            tracer=no_trace,
            duties=self.duties,
            own=self,
            storage_node=True,
            ephemeral=False,
        )

    @property
    def contact(self) -> Contact:
        return Contact.of(self.public_key, self.endpoint.local, storage=True)

    def record(self) -> ContactRecord:
        """As a node has it, signed once for as long as nothing in it changes."""
        if self._record is None:
            self._record = self._signed_record()
        return self._record

    def _signed_record(self) -> ContactRecord:
        issued = int(self.clock.unix_s())
        host, port = self.endpoint.local
        made = ContactRecord(
            self.public_key, ((host, port),), 1, "", issued, issued, issued + HOUR_S
        )
        return sign(made, self.network, self.crypto.node)

    @property
    def public_key(self) -> PublicKey:
        return self.crypto.node.public_key

    def outrun(self, sequence: int) -> bool:
        raise AssertionError("nobody holds what this node has not signed")

    def provider_record(self, key: DhtKey) -> ProviderRecord:
        issued = int(self.clock.unix_s())
        made = ProviderRecord(key, self.public_key, issued, issued, issued + HOUR_S)
        return sign(made, self.network, self.crypto.node)

    def withdrawal(self, key: DhtKey) -> ProviderRecord:
        issued = int(self.clock.unix_s())
        made = ProviderRecord(key, self.public_key, issued + 1, issued, issued)
        return sign(made, self.network, self.crypto.node)

    async def stop(self) -> None:
        await self.duties.close()
        await self.dht.stop()


@asynccontextmanager
async def network_of(
    count: int, socket: type[UdpEndpoint] = UdpEndpoint
) -> AsyncIterator[list[LiveNode]]:
    """So many in this process, each joined through the first, which all have looked around."""
    nodes = [LiveNode(number, Network("benchmark"), socket) for number in range(count)]
    try:
        for node in nodes:
            await node.dht.start()
            await node.dht.bootstrap([nodes[0].contact])
        await asyncio.gather(
            *(node.dht.lookup(node.contact.node, timeout_s=TIMEOUT_S) for node in nodes)
        )
        yield nodes
    finally:
        for node in nodes:
            await node.stop()
