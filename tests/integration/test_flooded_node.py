"""A real node on loopback, whose socket is filled beyond what the kernel keeps for it."""

from __future__ import annotations

import asyncio
import itertools
import random
import socket

from benchmarks.rpc.flooder import flood
from benchmarks.rpc.live import network_of
from dhtstore.net.udp import RECEIVE_BUFFER_BYTES
from dhtstore.params import NODE_ID_BYTES

NODES = 8
SENT = 12_000
assert SENT * 768 > 2 * RECEIVE_BUFFER_BYTES, "the least that the kernel counts for each"


async def test_a_full_socket_costs_no_contact_and_raises_nothing() -> None:
    told = list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    async with network_of(NODES) as nodes:
        node, rng = nodes[0], random.Random(1)
        known = set(node.dht.contacts())
        assert len(known) == NODES - 1
        asked = [
            asyncio.create_task(node.dht.lookup(rng.randbytes(NODE_ID_BYTES), timeout_s=10))
            for _ in range(8)
        ]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
            for data in itertools.islice(flood(node.network, seed=1), SENT):
                sending.sendto(data, node.endpoint.local)
        for found in await asyncio.gather(*asked):
            assert len(found) == NODES - 1
        assert set(node.dht.contacts()) == known
        assert "defects" not in node.dht.counters
        assert not node.failed
    assert told == []
