"""A node whose sockets or duties have ended must not look healthy: whoever runs it is told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dhtstore.api.hosting import hosted
from dhtstore.dht.engine.maintenance import Maintenance
from dhtstore.errors import DutyFailed
from dhtstore.net.local.server import LocalServer
from dhtstore.net.tcp import TlsTransport
from dhtstore.net.udp import UdpEndpoint
from dhtstore.node.duties.reprovide import Reprovide
from dhtstore.node.duties.save_peers import SavePeers

LOOPS = {
    "receive-datagrams": (UdpEndpoint, "_receive"),
    "send-datagrams": (UdpEndpoint, "_transmit"),
    "accept-streams": (TlsTransport, "_accept"),
    "accept-commands": (LocalServer, "_accept"),
    "dht-maintenance": (Maintenance, "run"),
    "reprovide": (Reprovide, "run"),
    "save-peers": (SavePeers, "run"),
}


async def returns(*_: object) -> None:
    """What no loop should do."""


async def breaks(*_: object) -> None:
    raise RuntimeError("a defect")


@pytest.mark.parametrize("broken", [returns, breaks])
@pytest.mark.parametrize("name", LOOPS)
async def test_a_node_fails_with_each_loop_that_ends(
    name: str, broken: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*LOOPS[name], broken)
    flags = {"listen": "127.0.0.1:0", "capacity": "64MiB"}
    async with hosted(tmp_path, [], flags, lambda *_: None) as here, asyncio.timeout(10):
        with pytest.raises(DutyFailed, match=f"^{name} ended"):
            await here.node.failed
