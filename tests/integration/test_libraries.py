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

from benchmarks.rpc.live import TIMEOUT_S, LiveNode
from dhtstore.errors import ConnectionLost
from dhtstore.model.identity import dht_key
from dhtstore.model.network import Network
from tests.integration.library_lines import LibraryLines, watching

ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"
PACKAGES = {"kademlia": "kademlia", "rpcudp": "rpcudp", "asyncio-dgram": "asyncio_dgram"}
KEY = dht_key(b"unit")
CHANCE_LINES = 2


async def live() -> None:
    """The life that is watched."""
    async with AsyncExitStack() as stack:
        services = [LiveNode(number, Network("libraries")) for number in range(6)]
        for service in services:
            await service.dht.start()
            stack.push_async_callback(service.stop)
            await service.dht.bootstrap([services[0].contact])
        first, second, *_, last = services
        pair = (first.provider_record(KEY), first.record())
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
