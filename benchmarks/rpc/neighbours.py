"""provide and find_providers among 40 nodes in one process, beside set and get of stock kademlia.

Real UDP on loopback, and all 40 on one core: what is measured is what all of them compute, and the
way there and back through the kernel.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Sequence
from typing import Final

from kademlia.network import Server

from benchmarks.rpc.live import TIMEOUT_S, LiveNode, network_of
from dhtstore.model.identity import DhtKey, dht_key

NODES: Final = 40
SEED: Final = 13


def ours_s(keys: int) -> tuple[list[float], list[float]]:
    """Seconds of each provide, and of each find_providers by another node."""
    return asyncio.run(_ours(keys))


def stock_s(keys: int) -> tuple[list[float], list[float]]:
    """Seconds of each ``set``, and of each ``get`` by another node."""
    logging.disable(logging.CRITICAL)
    try:
        return asyncio.run(_stock(keys))
    finally:
        logging.disable(logging.NOTSET)


async def _ours(keys: int) -> tuple[list[float], list[float]]:
    async with network_of(NODES) as nodes:
        rng = random.Random(SEED)
        provided, found = list[float](), list[float]()
        for number in range(keys):
            key = dht_key(b"%d" % number)
            publisher, reader = rng.sample(nodes, 2)
            provided.append(await _took_s(_provide(publisher, key)))
            found.append(await _took_s(_find(reader, publisher, key)))
        return provided, found


async def _provide(node: LiveNode, key: DhtKey) -> None:
    pair = (node.provider_record(key), node.record())
    [published] = await node.dht.provide(key, [pair], timeout_s=TIMEOUT_S)
    assert published.holders


async def _find(reader: LiveNode, publisher: LiveNode, key: DhtKey) -> None:
    found = await reader.dht.find_providers(key, wanted=1, timeout_s=TIMEOUT_S)
    assert [one.record.public_key for one in found.providers] == [publisher.public_key]


async def _stock(keys: int) -> tuple[list[float], list[float]]:
    servers = [Server() for _ in range(NODES)]
    try:
        for server in servers:
            await server.listen(0, interface="127.0.0.1")
            await server.bootstrap([servers[0].transport.get_extra_info("sockname")])
        return await _set_and_get(servers, keys)
    finally:
        for server in servers:
            server.stop()


async def _set_and_get(servers: Sequence[Server], keys: int) -> tuple[list[float], list[float]]:
    rng = random.Random(SEED)
    was_set, was_got = list[float](), list[float]()
    for number in range(keys):
        writer, reader = rng.sample(servers, 2)
        was_set.append(await _took_s(writer.set(f"{number}", "x" * 150)))
        was_got.append(await _took_s(reader.get(f"{number}")))
    return was_set, was_got


async def _took_s(work: Awaitable[object]) -> float:
    begun_s = time.perf_counter()
    await work
    return time.perf_counter() - begun_s
