"""A node under a flood of datagrams, one of 40 on loopback in one process: its own lookups, its
table, its memory."""

from __future__ import annotations

import asyncio
import random
import resource
import statistics
import sys
import time
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.rpc.live import TIMEOUT_S, LiveNode, network_of
from benchmarks.rpc.neighbours import NODES, SEED
from dhtstore.params import NODE_ID_BYTES, K

PAUSE_S: Final = 0.02  # between two lookups
KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Flooded:
    """``right`` is the share of lookups that found exactly the K closest; ``table`` what is known
    afterwards of what was before; ``grown_bytes`` is of the whole process."""

    sent: int
    lookups: int
    right: float
    median_s: float
    longest_s: float
    table: float
    grown_bytes: int
    cpu: float
    exceptions: int
    counters: dict[str, int]


def flooded(rate_per_s: int, seconds: float) -> Flooded:
    """Look up for as long as the flood lasts."""
    return asyncio.run(_flooded(rate_per_s, seconds))


async def _flooded(rate_per_s: int, seconds: float) -> Flooded:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    async with network_of(NODES) as nodes:
        node, rng = nodes[0], random.Random(SEED)
        await _look_up(nodes, rng)  # what is grown once is grown by then
        known, before_bytes = set(node.dht.contacts()), _peak_bytes()
        begun_s, cpu_s = time.monotonic(), time.process_time()
        process = await _begin(node, rate_per_s, seconds)
        took_s, right = list[float](), list[bool]()
        while process.returncode is None and time.monotonic() - begun_s < 2 * seconds + 10:
            at_s = time.monotonic()
            right.append(await _look_up(nodes, rng))
            took_s.append(time.monotonic() - at_s)
            await asyncio.sleep(PAUSE_S)
        cpu = (time.process_time() - cpu_s) / (time.monotonic() - begun_s)
        out, _ = await process.communicate()
        counters = node.dht.counters
        return Flooded(
            sent=int(out),
            lookups=len(right),
            right=sum(right) / len(right),
            median_s=statistics.median(took_s),
            longest_s=max(took_s),
            table=len(known & set(node.dht.contacts())) / len(known),
            grown_bytes=_peak_bytes() - before_bytes,
            cpu=cpu,
            exceptions=len(told) + len(node.failed) + counters.get("defects", 0),
            counters=counters,
        )


async def _begin(node: LiveNode, rate_per_s: int, seconds: float) -> asyncio.subprocess.Process:
    host, port = node.endpoint.local
    arguments = ["--network", node.network.name, "--rate", rate_per_s, "--seconds", seconds]
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.rpc.flooder", host, str(port)),
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
    )


async def _look_up(nodes: list[LiveNode], rng: random.Random) -> bool:
    """Whether the first node finds the K closest of all others, in order."""
    target = rng.randbytes(NODE_ID_BYTES)
    number = int.from_bytes(target, "big")
    found = await nodes[0].dht.lookup(target, timeout_s=TIMEOUT_S)
    others = [node.contact.node for node in nodes[1:]]
    closest = sorted(others, key=lambda node: int.from_bytes(node, "big") ^ number)[:K]
    return [contact.node for contact in found] == closest


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB
