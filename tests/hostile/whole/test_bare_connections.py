"""What needs no key at all, on real sockets: the node beside it serves, and no descriptor stays."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from benchmarks.hostile.attacks import SOCKET_ATTACKS
from benchmarks.hostile.kit.field import Field
from benchmarks.hostile.kit.stranger import Target
from benchmarks.hostile.origins import LOOPBACK, Addresses, field_of
from dhtstore.api.compose import start_node
from dhtstore.config import Settings
from dhtstore.node.node import Node
from dhtstore.params import GIB, MIB
from dhtstore.store.home.home import Home
from simulations.events.users import get_bytes, put_bytes

CONTENT: Final = bytes(range(256)) * (MIB // 256)
SEEN_MAX: Final = 8  # descriptors that a process keeps once it has used them


@asynccontextmanager
async def started(place: Path, capacity_bytes: int) -> AsyncIterator[Node]:
    settings = Settings(listen="127.0.0.1:0", capacity_bytes=capacity_bytes)
    node = await start_node(Home(place), Home(place), settings)
    try:
        yield node
    finally:
        await node.stop()


def field_at(node: Node, place: Path) -> Field:
    target = Target(node.public_key, node.ports.endpoint.local)
    known = place / "known"
    known.touch()
    return field_of(target, target, Addresses(LOOPBACK), known, seed=1)


@pytest.mark.parametrize("name", list(SOCKET_ATTACKS))
async def test_a_node_serves_beside_them_and_closes_all(name: str, tmp_path: Path) -> None:
    before = descriptors()
    async with started(tmp_path / "node", GIB) as node, started(tmp_path / "user", 0) as user:
        await node.join([])
        await user.join([str(node.ports.endpoint.local)])
        attack = asyncio.ensure_future(SOCKET_ATTACKS[name](field_at(node, tmp_path)))
        stored = await put_bytes(user, CONTENT, replicas=1)
        assert await get_bytes(user, stored.cid) == CONTENT
        attack.cancel()
        with suppress(asyncio.CancelledError):
            await attack
        assert await get_bytes(user, stored.cid) == CONTENT
    assert descriptors() <= before + SEEN_MAX


def descriptors() -> int:
    """Open in this process."""
    return len(os.listdir("/proc/self/fd"))
