"""The data plane on real sockets, threads and keys: what the simulation cannot show."""

from __future__ import annotations

import asyncio
import gc
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from dhtstore.content.builders.importer import FileBuilder
from dhtstore.content.dag.file_walk import FileWalk
from dhtstore.content.dag.walk import Output, Piece
from dhtstore.errors import RefusedByNetwork
from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address
from dhtstore.model.network import Network
from dhtstore.net.clock import SystemClock, SystemEntropy
from dhtstore.net.crypto import Ed25519Crypto
from dhtstore.net.tcp import TlsTransport
from dhtstore.net.threads import ThreadBlocking
from dhtstore.node.context import Disk
from dhtstore.node.copies.serve_blocks import BlockServer
from dhtstore.node.fetching.delivery import Delivery
from dhtstore.node.fetching.search import FixedHolders
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.links.link import Link
from dhtstore.node.links.pool import Links
from dhtstore.params import CHUNK_SIZE_BYTES, MIB
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.tasks import Supervisor
from dhtstore.wire.frames import GetBlocks


@dataclass
class Machine:
    """One end: its own key, store, threads and links."""

    address: Address
    crypto: Ed25519Crypto
    store: MemoryBlockStore
    blocking: ThreadBlocking
    links: Links
    transport: TlsTransport
    started: asyncio.Event = field(default_factory=asyncio.Event)  # the first output came

    def hold(self, content: bytes) -> Cid:
        builder = FileBuilder()
        with self.store.batch() as batch:
            for at in range(0, len(content), CHUNK_SIZE_BYTES):
                chunk = content[at : at + CHUNK_SIZE_BYTES]
                cid = Cid.of(chunk)
                batch.put(cid, chunk)
                builder.add_leaf(cid, len(chunk))
            root = builder.finish()
            for block in root.blocks:
                batch.put(block.cid, block.data)
            batch.commit()
        return root.cid

    async def to(self, other: Machine) -> Link:
        return await self.links.to(other.crypto.node.public_key, [other.address], 5.0)

    async def get(self, root: Cid, size_bytes: int, *holders: Machine) -> bytes:
        out = bytearray(size_bytes)

        async def sink(outputs: list[Output]) -> None:
            self.started.set()
            for output in outputs:
                if isinstance(output, Piece):
                    out[output.offset : output.offset + len(output.data)] = output.data

        links = [await self.to(holder) for holder in holders]
        disk = Disk(self.store, self.blocking)
        async with FetchSession(disk, FixedHolders(links)) as session:
            await session.fetch(FileWalk(root), Delivery(sink))
        return bytes(out)


@asynccontextmanager
async def machine(network: str = "main") -> AsyncIterator[Machine]:
    seed, failures = os.urandom(32), list[str]()
    crypto, transport = Ed25519Crypto(seed, seed), TlsTransport("127.0.0.1", seed)
    store, blocking = MemoryBlockStore(), ThreadBlocking()
    supervisor = Supervisor(on_failure=lambda name, error: failures.append(f"{name}: {error!r}"))
    links = Links(
        network=Network(network),
        crypto=crypto,
        entropy=SystemEntropy(),
        clock=SystemClock(),
        transport=transport,
        own_record=lambda: None,
        handlers={GetBlocks: BlockServer(Disk(store, blocking)).serve},
        supervisor=supervisor,
    )
    await links.listen(0, supervisor)
    address = Address("127.0.0.1", transport.port)
    try:
        yield Machine(address, crypto, store, blocking, links, transport)
    finally:
        await supervisor.close()
        await links.close()
        await blocking.close()
    assert failures == []


async def test_a_file_crosses_tls_whole_from_several_holders() -> None:
    content = random.Random(1).randbytes(24 * MIB + 17)
    async with machine() as a, machine() as b, machine() as c:
        root = b.hold(content)
        c.hold(content)
        assert await a.get(root, len(content), b, c) == content


async def test_a_holder_that_vanishes_meanwhile_does_not_stop_the_get() -> None:
    content = random.Random(2).randbytes(24 * MIB)
    async with machine() as a, machine() as b, machine() as c:
        root = b.hold(content)
        c.hold(content)
        getting = asyncio.ensure_future(a.get(root, len(content), b, c))
        await a.started.wait()
        await b.transport.close()
        assert await getting == content


async def test_another_network_is_refused_over_tls() -> None:
    async with machine() as a, machine("other") as b:
        with pytest.raises(RefusedByNetwork, match="another network than 'main'"):
            await a.to(b)
        with pytest.raises(RefusedByNetwork, match="another network than 'other'"):
            await b.to(a)


async def test_another_key_than_the_ticket_says_is_refused() -> None:
    async with machine() as a, machine() as b, machine() as c:
        with pytest.raises(RefusedByNetwork):
            await a.links.to(c.crypto.node.public_key, [b.address], 5.0)


async def test_a_seed_without_a_known_key_shows_its_key() -> None:
    async with machine() as a, machine() as b:
        link = await a.links.dial_unknown(b.address)
        assert link.public_key == b.crypto.node.public_key


async def test_many_links_at_once_each_carry_their_own_answers() -> None:
    async with machine() as server, machine() as a, machine() as b:
        contents = [bytes([number]) * (MIB + number) for number in range(8)]
        roots = [server.hold(content) for content in contents]
        getters = [a, b] * 4
        got = await asyncio.gather(
            *(
                getter.get(root, len(content), server)
                for getter, root, content in zip(getters, roots, contents, strict=True)
            )
        )
        assert got == contents


async def test_links_that_have_ended_take_no_memory() -> None:
    """Whichever end closed them, and also where blocks were under way."""
    content = random.Random(3).randbytes(8 * MIB)
    async with machine() as holder, machine() as getter:
        root = holder.hold(content)
        before = links_there()
        for number in range(12):
            await one_link(holder, getter, root, len(content), number)
        assert links_there() - before <= 2


def links_there() -> int:
    gc.collect()
    return sum(isinstance(each, Link) for each in gc.get_objects())


async def one_link(holder: Machine, getter: Machine, root: Cid, size: int, number: int) -> None:
    link = await getter.to(holder)
    getting = asyncio.ensure_future(getter.get(root, size, holder))
    if number % 2:
        await getter.started.wait()
        getting.cancel()
    await asyncio.wait([getting])
    getter.started.clear()
    await (holder.links.open_links()[0] if number % 3 else link).close()
    async with asyncio.timeout(10):
        while getter.links.open_links() or holder.links.open_links():  # noqa: ASYNC110
            await asyncio.sleep(0)  # both ends see it
