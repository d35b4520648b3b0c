"""Some holders are killed with their disks: every object is back at as many proven copies as were
asked for, with no command given, and all bytes are right.

    python -m tests.live.repair --nodes 8 --objects 200

Tells how long that took; exits with 1 if it did not come about in time.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from dataclasses import dataclass
from pathlib import Path

import dhtstore
from dhtstore import Client

_LOOK_S = 5.0


@dataclass(frozen=True, slots=True)
class _Asked:
    nodes: int
    objects: int
    killed: int
    grace: str
    within_s: float


async def _join(home: Path, grace: str, seeds: list[str]) -> tuple[Process, str]:
    """The process, and the ticket that it prints first."""
    chosen = ["--home", str(home), "--listen", "127.0.0.1:0", "--capacity", "1GB"]
    command = [sys.executable, "-m", "dhtstore", "join", *seeds, *chosen, "--repair-grace", grace]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=DEVNULL)
    assert process.stdout is not None
    return process, (await process.stdout.readline()).decode().split()[-1]


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


async def _run(asked: _Asked, folder: Path) -> int:
    homes = [folder / f"node {number}" for number in range(asked.nodes)]
    processes: list[Process] = []
    try:
        process, ticket = await _join(homes[0], asked.grace, [])
        processes.append(process)
        joined = [await _join(home, asked.grace, [ticket]) for home in homes[1:]]
        processes += [each for each, _ in joined]
        async with dhtstore.connect(homes[0]) as client:
            content = await _put_all(client, folder, asked.objects)
        await asyncio.sleep(2 * _LOOK_S)  # holders look each other up
        for number in range(1, 1 + asked.killed):
            processes[number].kill()
            await processes[number].wait()
            await asyncio.to_thread(shutil.rmtree, homes[number])
        async with dhtstore.connect(homes[-1]) as stranger:
            return await _wait(stranger, content, asked.within_s)
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
                await process.wait()


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
    told = parser.parse_args()
    asked = _Asked(told.nodes, told.objects, told.killed, told.grace, told.within)
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_run(asked, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
