"""find_node between two nodes in one process, ours beside stock kademlia's.

Both are told of the same number of others, ask for targets drawn in the same way and keep as many
requests in flight, each as its own lookups do: ours is called back, stock awaits.  CPU time of the
process, so both ends of a round trip are in it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Final

from kademlia.node import Node
from kademlia.protocol import KademliaProtocol
from kademlia.storage import ForgetfulStorage

from benchmarks.rpc.memory import MemoryEndpoint, MemoryTransport, Wires
from dhtstore.dht.core.peer import Peer, peer_of
from dhtstore.dht.engine.rpc import NodeRpc
from dhtstore.model.contact import Address, Contact
from dhtstore.model.identity import PublicKey
from dhtstore.model.network import Network
from dhtstore.net.clock import SystemClock, SystemEntropy
from dhtstore.net.crypto import Ed25519Crypto
from dhtstore.net.ports import Endpoint
from dhtstore.net.udp import UdpEndpoint
from dhtstore.params import NODE_ID_BYTES, K
from dhtstore.tasks import Supervisor
from dhtstore.trace import no_trace
from dhtstore.wire.datagram import FindNode, FoundNodes, Response

OTHERS: Final = 300  # that each knows; 20 a bucket
IN_FLIGHT: Final = 16
WARM: Final = 500  # round trips before the clock runs
SEED: Final = 13
FIRST_PORT: Final = 7400

Done = Callable[[], None]
Ask = Callable[[bytes, Done], None]


def ours_per_s(round_trips: int, *, udp: bool) -> float:
    """Round trips a CPU second of two of our nodes, every datagram authenticated both ways."""
    return asyncio.run(_ours(round_trips, udp=udp))


def stock_per_s(round_trips: int, *, udp: bool) -> float:
    """The same of two nodes of the ``kademlia`` package as it comes, its logging off."""
    logging.disable(logging.CRITICAL)
    try:
        return asyncio.run(_stock(round_trips, udp=udp))
    finally:
        logging.disable(logging.NOTSET)


async def _rate(ask: Ask, round_trips: int) -> float:
    await _ask_many(ask, WARM)
    before_s = time.process_time()
    await _ask_many(ask, round_trips)
    return round_trips / (time.process_time() - before_s)


async def _ask_many(ask: Ask, count: int) -> None:
    """So many round trips, IN_FLIGHT at a time."""
    rng, answered = random.Random(SEED), 0
    targets = [rng.randbytes(NODE_ID_BYTES) for _ in range(count)]
    all_answered = asyncio.get_running_loop().create_future()

    def done() -> None:
        nonlocal answered
        answered += 1
        if targets:
            ask(targets.pop(), done)
        elif answered == count:
            all_answered.set_result(None)

    for _ in range(IN_FLIGHT):
        ask(targets.pop(), done)
    await all_answered


# --- ours --------------------------------------------------------------------------------------


async def _ours(round_trips: int, *, udp: bool) -> float:
    wires, duties = Wires(), Supervisor()
    asking, answering = (_node(number, wires, udp=udp) for number in (1, 2))
    for rpc, endpoint in (asking, answering):
        await endpoint.open(rpc.channel.receive, duties)
    peers = [_peer_of(*one) for one in (asking, answering)]
    for (rpc, _), peer in zip((asking, answering), reversed(peers), strict=True):
        _know(rpc, peer)

    def ask(target: bytes, done: Done) -> None:
        def answered(peer: Peer, found: Response | None) -> None:
            assert isinstance(found, FoundNodes)
            assert found.contacts
            done()

        asking[0].calls.ask(peers[1], FindNode(target), answered)

    try:
        return await _rate(ask, round_trips)
    finally:
        for _, endpoint in (asking, answering):
            await endpoint.close()


def _node(number: int, wires: Wires, *, udp: bool) -> tuple[NodeRpc, Endpoint]:
    local = Address("127.0.0.1", 0 if udp else FIRST_PORT + number)
    endpoint: Endpoint = UdpEndpoint(*local) if udp else MemoryEndpoint(wires, local)
    seed = bytes((number,)) * 32
    rpc = NodeRpc(
        network=Network("benchmark"),
        crypto=Ed25519Crypto(seed, seed),
        clock=SystemClock(),
        entropy=SystemEntropy(),
        endpoint=endpoint,
        tracer=no_trace,
        storage_node=True,
        ephemeral=False,
    )
    return rpc, endpoint


def _peer_of(rpc: NodeRpc, endpoint: Endpoint) -> Peer:
    return peer_of(Contact.of(rpc.channel.own, endpoint.local, storage=True))


def _know(rpc: NodeRpc, other: Peer) -> None:
    """A table as after a day: OTHERS that have stood the test of time, and ``other``."""
    rng, now = random.Random(SEED), SystemClock().monotonic_s()
    known = [other]
    for number in range(OTHERS):
        at = Address(f"77.{number // 250}.{number % 250}.1", FIRST_PORT)
        known.append(peer_of(Contact.of(PublicKey(rng.randbytes(32)), at, storage=True)))
    for peer in known:
        rpc.table.answered(peer, now, 0.05, trusts=True)
        rpc.table.newcomers.leave(peer)


# --- stock -------------------------------------------------------------------------------------


async def _stock(round_trips: int, *, udp: bool) -> float:
    wires = Wires()
    asking, at = await _stock_node(1, wires, udp=udp)
    answering, to = await _stock_node(2, wires, udp=udp)
    for protocol, other, where in ((asking, answering, to), (answering, asking, at)):
        _know_stock(protocol, Node(other.source_node.id, *where))
    asked = Node(answering.source_node.id, *to)

    async def find(target: bytes, done: Done) -> None:
        answered, found = await asking.call_find_node(asked, Node(target))
        assert answered
        assert found
        done()

    duties = Supervisor()

    def ask(target: bytes, done: Done) -> None:
        duties.spawn(find(target, done), "find")

    try:
        return await _rate(ask, round_trips)
    finally:
        for protocol in (asking, answering):
            protocol.transport.close()


async def _stock_node(
    number: int, wires: Wires, *, udp: bool
) -> tuple[KademliaProtocol, tuple[str, int]]:
    node = Node(random.Random(number).randbytes(NODE_ID_BYTES))
    protocol = KademliaProtocol(node, ForgetfulStorage(), K)
    local = Address("127.0.0.1", 0 if udp else FIRST_PORT + number)
    if not udp:
        protocol.connection_made(MemoryTransport(wires, local))
        wires.listen(local, protocol.datagram_received)
        return protocol, local
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: protocol, local_addr=local
    )
    return protocol, transport.get_extra_info("sockname")


def _know_stock(protocol: KademliaProtocol, other: Node) -> None:
    """``add_contact`` pings the head of a full bucket, which nobody is there to answer: those for
    whom there is no room are left out."""
    rng = random.Random(SEED)
    table = protocol.router
    table.add_contact(other)
    for number in range(OTHERS):
        node = Node(rng.randbytes(NODE_ID_BYTES), f"77.{number // 250}.{number % 250}.1", 7400)
        bucket = table.buckets[table.get_bucket_for(node)]
        if len(bucket) < K or bucket.has_in_range(protocol.source_node) or bucket.depth() % 5:
            table.add_contact(node)
