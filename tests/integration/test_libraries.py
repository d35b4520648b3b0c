"""What of kademlia, rpcudp and asyncio-dgram runs is what ``docs/architecture.md`` says.

Six DHT services on real sockets join, look up, store and find records, lose one of them and stop.
Stated are the lines within functions; a few depend on what a closing socket sees first.
"""

from __future__ import annotations

import gc
import re
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from dhtstore.dht.service import DhtService
from dhtstore.errors import ConnectionLost
from dhtstore.model.contact import Contact, ContactRecord
from dhtstore.model.identity import DhtKey, PublicKey, dht_key
from dhtstore.model.network import Network
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.signing import sign
from dhtstore.net.clock import SystemClock, SystemEntropy
from dhtstore.net.crypto import Ed25519Crypto
from dhtstore.net.udp import UdpEndpoint
from dhtstore.tasks import Supervisor
from dhtstore.trace import no_trace
from tests.integration.library_lines import LibraryLines, watching

ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"
PACKAGES = {"kademlia": "kademlia", "rpcudp": "rpcudp", "asyncio-dgram": "asyncio_dgram"}
KEY, HOUR_S, TIMEOUT_S = dht_key(b"unit"), 3600, 5.0
CHANCE_LINES = 2


class LiveService:
    """One DHT service on a port of 127.0.0.1, with everything real around it."""

    def __init__(self, number: int, network: Network) -> None:
        self.network, self.clock, self.duties = network, SystemClock(), Supervisor()
        self.crypto = Ed25519Crypto(bytes((number,)) * 32, bytes((number + 100,)) * 32)
        self.endpoint = UdpEndpoint("127.0.0.1", 0)
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
        return Contact.of(self.crypto.node.public_key, self.endpoint.local, storage=True)

    def record(self) -> ContactRecord:
        issued, own = int(self.clock.unix_s()), self.crypto.node.public_key
        host, port = self.endpoint.local
        made = ContactRecord(own, ((host, port),), 1, "", issued, issued, issued + HOUR_S)
        return sign(made, self.network, self.crypto.node)

    @property
    def public_key(self) -> PublicKey:
        return self.crypto.node.public_key

    def outrun(self, sequence: int) -> None:
        raise AssertionError("nobody holds what this node has not signed")

    def provider_record(self, key: DhtKey = KEY) -> ProviderRecord:
        issued, own = int(self.clock.unix_s()), self.crypto.node.public_key
        made = ProviderRecord(key, own, issued, issued, issued + HOUR_S)
        return sign(made, self.network, self.crypto.node)

    def withdrawal(self, key: DhtKey = KEY) -> ProviderRecord:
        issued, own = int(self.clock.unix_s()), self.crypto.node.public_key
        made = ProviderRecord(key, own, issued + 1, issued, issued)
        return sign(made, self.network, self.crypto.node)

    async def stop(self) -> None:
        await self.duties.close()
        await self.dht.stop()


async def live() -> None:
    """The life that is watched."""
    async with AsyncExitStack() as stack:
        services = [LiveService(number, Network("libraries")) for number in range(6)]
        for service in services:
            await service.dht.start()
            stack.push_async_callback(service.stop)
            await service.dht.bootstrap([services[0].contact])
        first, second, *_, last = services
        pair = (first.provider_record(), first.record())
        [published] = await first.dht.provide(KEY, [pair], timeout_s=TIMEOUT_S)
        assert published.holders == len(services)
        found = await last.dht.find_providers(KEY, wanted=9, timeout_s=TIMEOUT_S)
        assert [provider.record for provider in found.providers] == [pair[0]]
        await second.dht.publish_contact(TIMEOUT_S)
        assert await last.dht.find_contact(second.contact.node, timeout_s=TIMEOUT_S)
        gone = last.contact
        await last.stop()
        with pytest.raises(ConnectionLost):
            await first.dht.ping(gone, TIMEOUT_S)


async def test_what_runs_of_each_library_is_as_stated(capsys: pytest.CaptureFixture[str]) -> None:
    measured = {name: LibraryLines.of(package) for name, package in PACKAGES.items()}
    with watching(*measured.values()):
        await live()
        gc.collect()  # streams close in ``__del__``
    with capsys.disabled():
        for name, lines in measured.items():
            print(f"\n{name}: {lines.ran_count} of {lines.count} lines: {', '.join(lines.used())}")
    text = ARCHITECTURE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\w-]+) \|.* (\d+) of (\d+) lines", text, re.MULTILINE)
    stated = {name: (int(ran), int(count)) for name, ran, count in rows}
    for name, lines in measured.items():
        ran, count = stated[name]
        assert count == lines.count, f"{name}: another version?"
        assert abs(ran - lines.ran_count) <= CHANCE_LINES, f"{name}: {lines.ran_count}"
