"""Some holders are killed with their disks: every object is back at as many proven copies as were
asked for, with no command given, and all bytes are right.

    python -m tests.live.repair --nodes 8 --objects 200

Tells how long that took; exits with 1 if it did not come about in time.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import dhtstore
from dhtstore import Client
from tests.live.processes import nodes

_LOOK_S = 5.0


@dataclass(frozen=True, slots=True)
class _Asked:
    nodes: int
    objects: int
    killed: int
    grace: str
    within_s: float
    directory: str | None


async def _put_all(client: Client, folder: Path, objects: int) -> dict[str, bytes]:
    rng, content = random.Random(1), dict[str, bytes]()
    for number in range(objects):
        file = folder / f"object {number}"
        data = rng.randbytes(20_000 + number)
        await asyncio.to_thread(file.write_bytes, data)
        content[(await client.put(file, replicas=3)).cid] = data
    return content


async def _short(client: Client, cids: list[str]) -> list[str]:
    """Those with fewer than three copies that are proved now, to a node that put none of them."""
    short: list[str] = []
    for cid in cids:
        found = await client.providers(cid, check=True)
        if sum(each.state == "live" for each in found) < 3:
            short.append(cid)
    return short


async def _run(asked: _Asked) -> int:
    options = "--capacity", "1GB", "--repair-grace", asked.grace
    async with nodes(asked.directory) as made:
        for _ in range(asked.nodes):
            await made.start(*options)
        async with dhtstore.connect(made.running[0].home) as client:
            content = await _put_all(client, made.folder, asked.objects)
        await asyncio.sleep(2 * _LOOK_S)  # holders look each other up
        for each in made.running[1 : 1 + asked.killed]:
            await each.wipe()
        async with dhtstore.connect(made.running[-1].home) as stranger:
            return await _wait(stranger, content, asked.within_s)


async def _wait(client: Client, content: dict[str, bytes], within_s: float) -> int:
    began_s, short = time.monotonic(), await _short(client, list(content))
    print(f"killed: {len(short)} of {len(content)} objects have fewer than three copies")
    while short and time.monotonic() - began_s < within_s:
        await asyncio.sleep(_LOOK_S)
        short = await _short(client, short)
        print(f"after {time.monotonic() - began_s:.0f} s: {len(short)}", flush=True)
    wrong = [cid for cid, data in content.items() if await client.cat(cid) != data]
    print(f"{len(short)} have fewer still, {len(wrong)} have wrong bytes")
    return 1 if short or wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--objects", type=int, default=200)
    parser.add_argument("--killed", type=int, default=2)
    parser.add_argument("--grace", default="60s", help="repair_grace of all nodes")
    parser.add_argument("--within", type=float, default=300.0, help="seconds")
    parser.add_argument("--dir", default=None, help="where the disks are")
    told = parser.parse_args()
    asked = _Asked(told.nodes, told.objects, told.killed, told.grace, told.within, told.dir)
    return asyncio.run(_run(asked))


if __name__ == "__main__":
    sys.exit(main())
